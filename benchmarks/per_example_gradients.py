"""What per-example gradients, clipped and noised, cost beside plain gradients.

Both are of the same batch, in the same run.

python -m benchmarks.per_example_gradients
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import markdown, write_results
from ddapps.privacy import Ledger, PrivateSignal, SystemEntropy
from ddapps.privacy.plan import plan
from ddcore.data import ExactSignal
from ddcore.ground import fitting_micro_batch, warm_allocator
from ddcore.images import ConvNet
from ddcore.parts import NoAugmentation, RealSignal

CASES = ((32, 8, 256), (128, 8, 256), (32, 28, 128), (128, 28, 128))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    warm_allocator(torch.device("cpu"))
    rows = [measure(*case, options.rounds) for case in CASES]
    budget = {"rounds": options.rounds, "precision": "fp32", "asked": "at most 3 times"}
    write_results("per_example_gradients", rows, budget, markdown(rows))


def measure(width: int, side: int, examples: int, rounds: int) -> dict[str, Any]:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (examples, 1, side, side), generator=random, dtype=torch.uint8)
    target = dd.load_data((images, torch.arange(examples) % 2), num_classes=2, normalisation="none")
    mechanism = plan(target, epsilon=10, delta=1e-6, max_grad_norm=0.1, steps=10**4, sample_rate=1.0, accountant="rdp")
    ledger = Ledger(None, "benchmark", 10, 1e-6, "rdp")
    private = PrivateSignal(target, mechanism, ledger, {}, SystemEntropy())
    network = ConvNet(width=width).build(target.spec.shape, 2, seed=0)
    network.eval()
    names = [name for name, weight in network.module.named_parameters() if weight.ndim >= 2]
    view = NoAugmentation().draw(random)

    def asked(signal: RealSignal) -> Callable[[], None]:
        micro_batch = fitting_micro_batch(target.spec.shape, torch.device("cpu"), keeps_graph=True)
        run = dd.Run(
            spec=target.spec,
            real=signal,
            augmentation=NoAugmentation(),
            seed=0,
            device=torch.device("cpu"),
            precision="fp32",
            micro_batch=micro_batch,
        )
        signal.begin(run)
        return lambda: list(signal.gradients(network, [[0, 1]], {0: view, 1: view}, examples, names)) and None

    plain, clipped = timed([asked(ExactSignal(target)), asked(private)], rounds)
    return {
        "width": width,
        "side": side,
        "examples": examples,
        "plain ms": f"{1000 * plain:.1f}",
        "per example ms": f"{1000 * clipped:.1f}",
        "ratio": f"{clipped / plain:.2f}",
    }


def timed(calls: list[Callable[[], None]], rounds: int) -> list[float]:
    """Return the median seconds of each call, taken in turns."""
    seconds: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(rounds):
        for call, taken in zip(calls, seconds, strict=True):
            started = time.perf_counter()
            call()
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in seconds]


if __name__ == "__main__":
    main()
