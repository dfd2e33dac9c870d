"""digits: a linear probe of a frozen backbone, trained on one image per class.

The backbone is a ConvNet of width 16 that was trained on one half of the training examples. The
other half is distilled.

python -m benchmarks.linear_probe
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import nn

import ddcore as dd
from benchmarks.common import markdown, write_results
from ddcore.networks import LinearProbe
from ddcore.parts import plain_copy

STEPS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ipc", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3, help="summaries, of one probe each")
    parser.add_argument("--protocol", default="dc")
    options = parser.parse_args()
    whole = dd.load_data("digits")
    order = torch.randperm(len(whole.train), generator=torch.Generator().manual_seed(0))
    first, second = order.chunk(2)
    body, target = trained(whole.with_train(first, "first half")), whole.with_train(second, "second half")
    rows = []
    for name in ("random", "linear_gradient_matching"):
        accuracies, seconds = [], 0.0
        for seed in range(options.seeds):
            if name == "random":
                method = dd.methods.random(ipc=options.ipc)
            else:
                method = dd.methods.linear_gradient_matching(options.ipc, "cpu", body).with_steps(STEPS)
            summary = dd.distill(target, method, seed=seed)
            seconds += float(summary.record["seconds"])
            report = dd.evaluate(
                summary, target, networks=LinearProbe(body), protocol=options.protocol, runs=1, seed=seed
            )
            accuracies += report.results[0].accuracies
        rows.append(row(name, accuracies, seconds / options.seeds))
    full = dd.evaluate(target, target, networks=LinearProbe(body), protocol="quick", runs=options.seeds)
    rows.append(row("all of the second half (quick)", list(full.results[0].accuracies), 0.0))
    budget = {"ipc": options.ipc, "steps": STEPS, "protocol": options.protocol, "threads": torch.get_num_threads()}
    write_results(
        "linear_probe", rows, budget, markdown([{k: v for k, v in r.items() if k != "accuracies"} for r in rows])
    )


def row(name: str, accuracies: list[float], seconds: float) -> dict[str, Any]:
    mean, _, ci95 = dd.evaluation.mean_std_ci95(accuracies)
    return {
        "trained on": name,
        "accuracy %": f"{mean:.1f} ± {ci95:.1f}",
        "s": f"{seconds:.0f}",
        "accuracies": accuracies,
    }


def trained(data: dd.TargetData) -> nn.Module:
    """Return a ConvNet without its classifier, trained on all of the data."""
    spec = data.spec
    network = dd.images.ConvNet(width=16).build(spec.shape, spec.num_classes, seed=0)
    inputs, targets = spec.normalisation.apply(data.train.inputs, torch.float32), data.train.targets
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    random = torch.Generator().manual_seed(0)
    for _ in range(15):
        for indices in torch.randperm(len(targets), generator=random).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(inputs[indices]), targets[indices]).backward()
            optimiser.step()
    module = plain_copy(network.module)
    setattr(module, network.head, nn.Identity())
    return module.eval()


if __name__ == "__main__":
    main()
