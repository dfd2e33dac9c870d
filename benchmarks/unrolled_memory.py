"""Time and peak memory of one gradient through T steps of training.

Plain backpropagation stands against the sweep back. ConvNet-3 of width 128, 28 px, ten examples,
momentum .9. Every measurement is a process of its own. Its memory is what the process needs above
what it had before the gradient. Stored weight vectors are shown apart: ``reverse`` keeps 2 T of
them (weights and velocity), or, with snapshots at every k-th step, 2 (T / k + k).
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import RESULTS, markdown, write_results
from benchmarks.steps import random_data
from ddcore.data import ExactSignal
from ddcore.ground import warm_allocator
from ddcore.images import ConvNet, Pixels
from ddcore.matching import unroll
from ddcore.matching.unrolling.inner import InnerTraining
from ddcore.sources import FreshNetworks

PLANS = ("backprop", "reverse", "reverse, snapshots")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", default="10,25,50,100,200", help="values of T")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3, help="gradients per process; the fastest counts")
    parser.add_argument("--one", nargs=2, metavar=("PLAN", "T"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        plan, steps = options.one
        print(json.dumps(measure(plan, int(steps), options.width, options.rounds)))
        return
    rows = []
    for steps in map(int, options.steps.split(",")):
        for plan in PLANS:
            words = ["--one", plan, str(steps), "--width", str(options.width), "--rounds", str(options.rounds)]
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.unrolled_memory", *words], capture_output=True, text=True, check=True
            )
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(rows[-1], file=sys.stderr)
    for row in rows:
        plain = next(r for r in rows if r["T"] == row["T"] and r["gradient"] == "backprop")
        row["time / backprop"] = round(row["seconds"] / plain["seconds"], 2)
        first = next(r for r in rows if r["gradient"] == row["gradient"])
        row["working MB / that at the first T"] = round(row["working MB"] / first["working MB"], 2)
    budget = {"width": options.width, "examples": 10, "rounds": options.rounds, "momentum": 0.9}
    write_results("unrolled_memory", rows, budget, markdown(rows))
    plot(rows)


def measure(plan: str, steps: int, width: int, rounds: int) -> dict[str, Any]:
    device = torch.device("cpu")
    warm_allocator(device)
    signal = ExactSignal(random_data())
    run = dd.Run(
        spec=signal.spec,
        real=signal,
        augmentation=dd.parts.NoAugmentation(),
        seed=0,
        device=device,
        precision="fp32",
        micro_batch=32,
    )
    signal.begin(run)
    run.examples = Pixels(ipc=1, init="noise").start(run)
    run.networks = FreshNetworks(ConvNet(width=width)).start(run)
    (network,) = run.networks.current()
    inner = InnerTraining(run, network, [torch.arange(10)] * steps, augment=False)
    weights = [w.detach().clone() for w in network.module.parameters()]
    rates = torch.full((steps,), 0.01, requires_grad=True)
    every = round(math.sqrt(steps)) if plan == "reverse, snapshots" else 1
    torch.autograd.grad(inner(0, [w.clone().requires_grad_() for w in weights]), inner.leaves())
    before = peak()
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        trained = unroll(
            inner,
            weights,
            rates,
            inner.leaves(),
            gradient=plan.split(",")[0],
            momentum=0.9,
            snapshot_every=every,
        )
        torch.autograd.grad(torch.stack([w.square().sum() for w in trained]).sum(), [rates, *inner.leaves()])
        seconds.append(time.perf_counter() - started)
    vectors = 0 if plan == "backprop" else 2 * steps if every == 1 else 2 * (-(-steps // every) + every)
    stored = vectors * 4 * sum(w.numel() for w in weights) / 2**20
    used = peak() - before
    return {
        "T": steps,
        "gradient": plan,
        "snapshot every": every,
        "seconds": round(min(seconds), 3),
        "ms per step": round(1000 * min(seconds) / steps, 1),
        "peak MB": round(used),
        "stored vectors MB": round(stored),
        "working MB": round(max(used - stored, 1)),
    }


def peak() -> float:
    """Return the most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def plot(rows: list[dict[str, Any]]) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    for axis, what in zip(axes, ("peak MB", "seconds"), strict=True):
        for plan in PLANS:
            mine = [r for r in rows if r["gradient"] == plan]
            axis.plot([r["T"] for r in mine], [r[what] for r in mine], marker="o", label=plan)
        axis.set(xlabel="T, unrolled steps", ylabel=what, ylim=0)
        axis.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / "unrolled_memory.png", dpi=120)


if __name__ == "__main__":
    main()
