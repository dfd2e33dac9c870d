"""One outer step of DM on 28 px images, beside a plain class-by-class implementation, in one run.

Ten classes of 256 real images, ipc 10, siamese augmentation, ConvNet-3 of width 128. The plain
implementation is what a reader of the paper writes first: a loop over classes at batch 256 with
torch's own layers. The arithmetic floor counts the convolutions' operations at the rate that one
convolution reaches on this machine.
"""

from __future__ import annotations

import torch

import ddcore as dd
from benchmarks.steps import (
    CLASSES,
    FORWARD_OPERATIONS,
    IPC,
    MODES,
    REAL,
    compare,
    plain_features,
    random_data,
    report_seconds,
    step_arguments,
    time_ours,
    timed,
    write_comparison,
)
from ddcore.images import SiameseAugmentation

# A synthetic image costs a forward pass and the backward pass to its pixels, about as much again.
OPERATIONS = CLASSES * (REAL + 2 * IPC) * FORWARD_OPERATIONS


class Plain:
    """The step written out: images normalised once, a loop over classes, one backward pass."""

    def __init__(self, device: str = "cpu") -> None:
        target = random_data()
        self.device = device
        self.real = target.spec.normalisation.apply(target.train.inputs).to(device)
        self.members = [(target.train.targets == c).nonzero().flatten() for c in range(CLASSES)]
        self.synthetic = torch.randn(CLASSES, IPC, 1, 28, 28, device=device, requires_grad=True)
        self.optimiser = torch.optim.SGD([self.synthetic], lr=1.0, momentum=0.5)
        self.augmentation = SiameseAugmentation()
        self.random = torch.Generator().manual_seed(0)

    def step(self) -> None:
        network = plain_features().to(self.device)
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        loss = torch.zeros((), device=self.device)
        for c in range(CLASSES):
            picked = self.members[c][torch.randperm(len(self.members[c]))[:REAL]]
            view = self.augmentation.draw(self.random)
            real = view(dd.Batch(self.real[picked], picked)).inputs
            synthetic = view(dd.Batch(self.synthetic[c], picked)).inputs
            difference = network(real).detach().mean(dim=0) - network(synthetic).mean(dim=0)
            loss = loss + difference.square().sum()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def child(mode: str, steps: int) -> None:
    name, _, precision = mode.partition(":")
    if name == "plain":
        report_seconds(timed(Plain().step, steps))
    else:
        report_seconds(time_ours(dd.methods.dm(ipc=IPC, preset="paper"), steps, precision, name == "compiled"))


def main() -> None:
    options = step_arguments(__doc__, steps=5).parse_args()
    if options.child:
        child(options.child, options.steps)
        return
    found = compare("benchmarks.distribution_step", "plain", list(MODES), options.steps, options.rounds)
    write_comparison(
        "distribution_step", found, OPERATIONS, {"steps": options.steps, "rounds": options.rounds, "seed": 0}
    )


if __name__ == "__main__":
    main()
