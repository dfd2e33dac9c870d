"""Everything that needs a GPU, in one command.

Parity of every method with the CPU, host waits, step times by precision beside the floor that the
convolutions alone set, runs on real data.

python -m benchmarks.gpu [--data mnist.npz,cifar10.npz --seconds 40 --budget 570]

Parts come in order of worth. Each writes what it found as it ends. A part that fails is a row that
says so. No part begins after the budget of seconds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

import ddcore as dd
from benchmarks import distribution_step, matching_step
from benchmarks.common import load_or_explain, markdown, write_results
from benchmarks.steps import IPC, matching_step_alone, random_data
from ddcore.ground import autocast, matmul_precision
from tests.running import STEPPING, shrunk

Row = dict[str, Any]
Part = tuple[str, Callable[[], str]]
STEPS = 30
GPU = torch.device("cuda")


def parity(name: str) -> str:
    """Return the largest relative difference of a few steps in float64, CPU against GPU."""
    target = dd.load_data("digits")
    method = shrunk(name, "convnet(width=16)", steps=5)
    images = [
        dd.distill(target, method, steps=5, precision="fp64", device=device).tensors(dtype=torch.float64)[0]
        for device in ("cpu", "cuda")
    ]
    return f"{float((images[0] - images[1]).abs().max() / images[0].abs().max()):.1e} relative"


def waits(name: str) -> str:
    """Run steps with torch's alarm for host synchronisation; one alarm raises."""

    def arm(progress: dd.Progress) -> None:
        torch.cuda.set_sync_debug_mode("error" if progress.step in range(5, 40) else "default")

    try:
        dd.distill(dd.load_data("digits"), shrunk(name, "convnet(width=16)", steps=45), device="cuda", callbacks=[arm])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "none"


def rate(precision: str) -> float:
    """Return the operations per second that one large convolution of a step reaches."""
    inputs = torch.randn(1024, 128, 16, 16, device=GPU)
    weight = torch.randn(128, 128, 3, 3, device=GPU)
    with matmul_precision(precision, GPU), autocast(precision, GPU), torch.no_grad():
        seconds = []
        for _ in range(8):
            torch.cuda.synchronize()
            started = time.perf_counter()
            torch.nn.functional.conv2d(inputs, weight, padding=1)
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
    return 2 * 9 * 128 * 128 * 16 * 16 * 1024 / min(seconds)


def floor(name: str, precision: str) -> float:
    """Return the seconds that a step's convolutions take at `rate`."""
    return (distribution_step if name == "dm" else matching_step).OPERATIONS / rate(precision)


def step_time(name: str, target: dd.TargetData, precision: str, compiled: bool) -> str:
    """Return the median time of a step, its kernels, the GPU's share, and peak memory.

    The kernels are those that it launches. The share is that of the step's time in which the GPU
    works.
    """
    moments: list[float] = []
    watched = profile(activities=[ProfilerActivity.CUDA])

    def mark(progress: dd.Progress) -> None:
        if progress.step >= 5 and progress.step % 5 == 0:
            torch.cuda.synchronize()
            moments.append(time.perf_counter())
        if progress.step == STEPS:
            watched.start()
        if progress.step == STEPS + 5:
            torch.cuda.synchronize()
            watched.stop()

    torch.cuda.reset_peak_memory_stats()
    settings: dict[str, Any] = {"precision": precision, "compile": compiled, "device": "cuda", "callbacks": [mark]}
    dd.distill(target, matching_step_alone(name, IPC), steps=STEPS + 6, **settings)
    seconds = statistics.median((b - a) / 5 for a, b in pairwise(moments[: STEPS // 5]))
    kernels = [e for e in watched.key_averages() if e.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(e.self_device_time_total for e in kernels) / 5e6
    memory = torch.cuda.max_memory_allocated() / 2**20
    count = sum(e.count for e in kernels) / 5
    over = seconds / floor(name, precision)
    return f"{1000 * seconds:.1f} ms, {over:.1f} x its floor, {count:.0f} kernels and copies, busy {1000 * busy:.1f} ms, {memory:.0f} MB"


def plain_step_time(name: str, precision: str) -> str:
    """Return the median time of the step written out with torch's own layers."""
    plain = (
        distribution_step.Plain("cuda") if name == "dm" else matching_step.Plain(augmented=name == "dsa", device="cuda")
    )
    moments = []
    with matmul_precision(precision, GPU):
        for step in range(STEPS + 1):
            plain.step()
            if step >= 5 and step % 5 == 0:
                torch.cuda.synchronize()
                moments.append(time.perf_counter())
    return f"{1000 * statistics.median((b - a) / 5 for a, b in pairwise(moments)):.1f} ms"


def paper_run(data: str, name: str, ipc: int, seconds: float) -> str:
    """Return the accuracy after as many of the paper's steps as fit ``seconds``."""
    target = load_or_explain(data)
    method = dd.methods.build_method(name, ipc=ipc, preset="paper", data=Path(data).stem, target=target)
    summary = dd.distill(target, method, device="cuda", precision="tf32", max_seconds=seconds)
    started = time.monotonic()
    result = dd.evaluate(summary, target, protocol="dsa", runs=5, device="cuda", precision="tf32").results[0]
    record = summary.record
    return (
        f"{result.mean:.2f} ± {result.ci95:.2f} % after {record['steps']} of {method.steps} steps in "
        f"{record['seconds']:.0f} s, evaluated in {time.monotonic() - started:.0f} s"
    )


def parts(options: argparse.Namespace) -> Iterator[Part]:
    target = random_data()
    for name in STEPPING:
        yield f"{name}, 5 steps in fp64, CPU against GPU", lambda n=name: parity(n)
    for name in STEPPING:
        yield f"{name}, 35 steps under the alarm for host waits", lambda n=name: waits(n)
    for name in ("dm", "dsa"):
        for precision in ("fp32", "tf32", "bf16"):
            yield f"{name} step, {precision}", lambda n=name, p=precision: step_time(n, target, p, False)
        for precision in ("fp32", "tf32"):
            yield f"{name} step, {precision}, plain", lambda n=name, p=precision: plain_step_time(n, p)
    for name in ("dm", "dsa"):
        yield f"{name} step, tf32, compiled", lambda n=name: step_time(n, target, "tf32", True)
    sources = options.data.split(",") if options.data else []
    for source, name, ipc in product(sources, ("dm", "dsa", "frepo", "mtt"), (1, 10)):
        what = f"{name} on {Path(source).stem}, ipc {ipc}, tf32, protocol dsa"
        yield what, lambda d=source, n=name, i=ipc: paper_run(d, n, i, options.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="also run published settings on these data, separated by commas")
    parser.add_argument("--seconds", type=float, default=40.0, help="of distillation, per run on --data")
    parser.add_argument("--budget", type=float, default=570.0, help="seconds after which no part begins")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("this needs a GPU with CUDA, about ten minutes of it, and torch finds none here")
    rows: list[Row] = []
    failures, begun = 0, time.monotonic()
    for what, measure in parts(options):
        started = time.monotonic()
        if started - begun > options.budget:
            print(f"the budget is spent before: {what}", flush=True)
            break
        try:
            value = measure()
        except Exception as error:
            traceback.print_exc()
            value, failures = f"failed: {type(error).__name__}: {str(error).splitlines()[0][:150]}", failures + 1
        rows.append({"what": what, "value": value, "s": f"{time.monotonic() - started:.1f}"})
        print(rows[-1], flush=True)
        write_results("gpu", rows, {"steps": STEPS, "seconds": options.seconds, "seed": 0}, markdown(rows), show=False)
    print(markdown(rows))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
