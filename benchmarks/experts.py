"""Ten networks trained at once against one after the other.

At once, their weights are stacked (`torch.func.vmap`). Weights, data and steps are the same. Only
the order of work differs.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

from benchmarks.common import markdown, write_results
from ddcore.ground import warm_allocator
from ddcore.parts import Batch, as_architecture
from ddcore.sources import ExpertTraining
from ddcore.sources.experts.training import Together, worth_stacking

CASES = (
    ("mlp(width=32)", (1, 8, 8), 64),
    ("mlp(width=64)", (1, 8, 8), 64),
    ("mlp(width=128)", (1, 8, 8), 256),
    ("convnet(width=8)", (1, 8, 8), 64),
    ("convnet(width=32)", (1, 8, 8), 64),
    ("convnet", (1, 8, 8), 64),
    ("convnet(width=16)", (1, 28, 28), 64),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument(
        "--rounds", type=int, default=3, help="the two take turns this often; the fastest of each counts"
    )
    options = parser.parse_args()
    warm_allocator(torch.device("cpu"))
    rows = [measure(*case, options) for case in CASES]
    budget = {"networks": options.count, "seconds": options.seconds, "rounds": options.rounds}
    write_results("experts", rows, budget, markdown(rows))


def measure(name: str, shape: tuple[int, ...], batch_size: int, options: argparse.Namespace) -> dict[str, Any]:
    architecture, count, training = as_architecture(name), options.count, ExpertTraining()
    modules = [architecture.build(shape, 10, seed=i).module for i in range(count)]
    random = torch.Generator().manual_seed(0)
    batches = [
        Batch(torch.randn(batch_size, *shape, generator=random), torch.randint(10, (batch_size,), generator=random))
        for _ in range(count)
    ]
    alone, together = [Together([m]) for m in modules], Together(modules)

    def one_after_the_other() -> None:
        for network, batch in zip(alone, batches, strict=True):
            network.take_step([batch], training)

    def at_once() -> None:
        together.take_step(batches, training)

    found: dict[str, list[float]] = {"alone": [], "together": []}
    for _ in range(options.rounds):
        for key, step in (("alone", one_after_the_other), ("together", at_once)):
            found[key].append(per_step(step, options.seconds))
    seconds = {key: min(values) for key, values in found.items()}
    return {
        "network": name,
        "px": shape[-1],
        "batch": batch_size,
        "one after the other, ms": round(1000 * seconds["alone"], 2),
        "at once, ms": round(1000 * seconds["together"], 2),
        "times faster": round(seconds["alone"] / seconds["together"], 2),
        "chosen": "at once" if worth_stacking(modules[0], torch.device("cpu")) else "one after the other",
    }


def per_step(step: Any, seconds: float) -> float:
    step()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        step()
        steps += 1
    return (time.perf_counter() - started) / steps


if __name__ == "__main__":
    main()
