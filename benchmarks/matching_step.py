"""One outer step of DC and of DSA on 28 px images, beside a plain class-by-class implementation.

Both are timed in one run. Ten classes of 256 real images, ipc 10, ConvNet-3 of width 128; inner
training is left out. The plain implementation is what a reader of the papers writes first: a loop
over classes at batch 256 with torch's own layers, one backward pass at the end. The arithmetic
floor counts the convolutions' operations at the rate that one convolution reaches on this machine.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ddcore as dd
from benchmarks.steps import (
    CLASSES,
    FORWARD_OPERATIONS,
    IPC,
    MODES,
    REAL,
    compare,
    matching_step_alone,
    measure,
    plain_features,
    random_data,
    report_seconds,
    step_arguments,
    time_ours,
    timed,
    write_comparison,
)
from ddcore.images import SiameseAugmentation
from ddcore.parts import NoAugmentation

FIRST_LAYER = 2 * 9 * 128 * 32 * 32
# A real image costs a forward pass, and as much again for the weights and for the inputs of all
# convolutions but the first. A synthetic one costs that. It is differentiated once more, which
# costs about twice as much again.
OPERATIONS = CLASSES * (
    REAL * (3 * FORWARD_OPERATIONS - FIRST_LAYER) + IPC * 3 * (3 * FORWARD_OPERATIONS - FIRST_LAYER)
)


class Plain:
    """The step written out: images normalised once, a loop over classes, one backward pass."""

    def __init__(self, augmented: bool, device: str = "cpu") -> None:
        target = random_data()
        self.device = device
        self.real = target.spec.normalisation.apply(target.train.inputs).to(device)
        self.members = [(target.train.targets == c).nonzero().flatten() for c in range(CLASSES)]
        self.synthetic = torch.randn(CLASSES, IPC, 1, 28, 28, device=device, requires_grad=True)
        self.optimiser = torch.optim.SGD([self.synthetic], lr=0.1, momentum=0.5)
        self.augmentation = SiameseAugmentation() if augmented else NoAugmentation()
        self.random = torch.Generator().manual_seed(0)

    def step(self) -> None:
        network = nn.Sequential(plain_features(), nn.Linear(2048, CLASSES)).to(self.device)
        weights = list(network.parameters())
        loss = torch.zeros((), device=self.device)
        for c in range(CLASSES):
            picked = self.members[c][torch.randperm(len(self.members[c]))[:REAL]]
            view = self.augmentation.draw(self.random)
            real = view(dd.Batch(self.real[picked], picked)).inputs
            synthetic = view(dd.Batch(self.synthetic[c], picked)).inputs
            targets = torch.full((REAL,), c, device=self.device)
            wanted = torch.autograd.grad(F.cross_entropy(network(real), targets), weights)
            logits = network(synthetic)
            found = torch.autograd.grad(F.cross_entropy(logits, targets[:IPC]), weights, create_graph=True)
            loss = loss + sum(row_cosine(s, r) for s, r in zip(found, wanted, strict=True) if s.ndim > 1)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def row_cosine(a: Tensor, b: Tensor) -> Tensor:
    a, b = a.flatten(1), b.flatten(1)
    return (1 - (a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-6)).sum()


def child(mode: str, steps: int) -> None:
    name, implementation, *precision = mode.split(":")
    if implementation == "ipc50":
        report_seconds(time_ours(matching_step_alone(name, 50), steps, "fp32", compiled=False))
        return
    if implementation == "plain":
        report_seconds(timed(Plain(augmented=name == "dsa").step, steps))
        return
    report_seconds(time_ours(matching_step_alone(name, IPC), steps, precision[0], implementation == "compiled"))


def main() -> None:
    parser = step_arguments(__doc__, steps=3)
    parser.add_argument("--methods", default="dc,dsa")
    parser.add_argument("--memory", default="dc,dcc,cafe", help="methods whose peak memory at 50 per class is measured")
    options = parser.parse_args()
    if options.child:
        child(options.child, options.steps)
        return
    found: dict[str, list[list[float]]] = {}
    for name in options.methods.split(","):
        modes = [f"{name}:{mode}" for mode in MODES]
        found |= compare("benchmarks.matching_step", f"{name}:plain", modes, options.steps, options.rounds)
    memory = []
    for name in options.memory.split(","):
        seconds, peak = measure("benchmarks.matching_step", f"{name}:ipc50", 1)
        memory.append({"at 50 per class, fp32": name, "s per step": f"{seconds:.2f}", "peak MB": f"{peak:.0f}"})
    budget = {"steps": options.steps, "rounds": options.rounds, "seed": 0}
    write_comparison("matching_step", found, OPERATIONS, budget, memory)


if __name__ == "__main__":
    main()
