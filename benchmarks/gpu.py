"""Everything that needs a GPU, in one command: parity with the CPU, step times by precision, host synchronisation, a paper run.

python -m benchmarks.gpu [--data path/to/mnist.npz --methods dm,dsa]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import load_or_explain, markdown, write_results
from benchmarks.steps import IPC, matching_step_alone, random_data

VARIANTS = (("fp32", False), ("tf32", False), ("bf16", False), ("bf16", True))


def parity(name: str) -> dict[str, Any]:
    """Return the largest relative difference of a few steps in float64, CPU against GPU."""
    target = dd.load_data("digits")
    method = dd.methods.build_method(name, ipc=2, preset="cpu", target=target)
    images = [
        dd.distill(target, method, steps=5, precision="fp64", device=device).tensors(dtype=torch.float64)[0]
        for device in ("cpu", "cuda")
    ]
    difference = float((images[0] - images[1]).abs().max() / images[0].abs().max())
    return {"what": f"{name}, 5 steps in fp64, CPU against GPU", "value": f"{difference:.1e} relative"}


def step_time(name: str, target: dd.TargetData, precision: str, compiled: bool, steps: int = 60) -> dict[str, Any]:
    moments: list[float] = []

    def mark(progress: dd.Progress) -> None:
        if progress.step >= 10 and progress.step % 10 == 0:
            torch.cuda.synchronize()
            moments.append(time.perf_counter())

    torch.cuda.reset_peak_memory_stats()
    dd.distill(
        target,
        matching_step_alone(name, IPC),
        steps=steps,
        precision=precision,
        compile=compiled,
        device="cuda",
        callbacks=[mark],
    )
    seconds = statistics.median((b - a) / 10 for a, b in pairwise(moments))
    memory = torch.cuda.max_memory_allocated() / 2**20
    what = f"{name} step, {precision}{', compiled' if compiled else ''}"
    return {"what": what, "value": f"{1000 * seconds:.1f} ms, {memory:.0f} MB"}


def waits(name: str, target: dd.TargetData) -> dict[str, Any]:
    """Run steps with torch's alarm for host synchronisation; one alarm would raise."""

    def arm(progress: dd.Progress) -> None:
        torch.cuda.set_sync_debug_mode("error" if progress.step in range(5, 40) else "default")

    try:
        dd.distill(target, matching_step_alone(name, IPC), steps=45, device="cuda", callbacks=[arm])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return {"what": f"{name}, 35 steps under the alarm for host synchronisation", "value": "none"}


def paper_run(data: str, name: str, ipc: int) -> dict[str, Any]:
    target = load_or_explain(data)
    method = dd.methods.build_method(name, ipc=ipc, preset="paper", data=Path(data).stem, target=target)
    summary = dd.distill(target, method, device="cuda", precision="bf16", progress=True)
    result = dd.evaluate(summary, target, protocol="dsa", runs=5, device="cuda").results[0]
    value = f"{result.mean:.2f} ± {result.ci95:.2f} % after {summary.record['seconds']:.0f} s"
    return {"what": f"{name} on {target.name}, ipc {ipc}, {method.steps} steps, protocol dsa", "value": value}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="also run the paper's steps on this data")
    parser.add_argument("--methods", default="dm,dsa", help="for --data")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("this benchmark needs a GPU, and torch finds none here")
    target = random_data()
    names = options.methods.split(",")
    rows = [parity(name) for name in ("dm", "dc", "dsa", "dcc", "idc", "cafe", "it_gan")]
    rows += [waits(name, target) for name in ("dm", "dc", "dsa", "dcc")]
    rows += [step_time(name, target, p, c) for name in ("dm", "dc", "dsa") for p, c in VARIANTS]
    rows += [paper_run(options.data, name, ipc) for name in names for ipc in (1, 10)] if options.data else []
    write_results("gpu", rows, {"steps": 60, "seed": 0}, markdown(rows))


if __name__ == "__main__":
    main()
