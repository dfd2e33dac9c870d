"""What the step benchmarks share.

Data, a plain network, one process per measurement, the arithmetic floor.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import ddcore as dd
from benchmarks.common import markdown, write_results
from ddcore.ground import autocast, warm_allocator

CLASSES, REAL, IPC, WIDTH = 10, 256, 10, 128
FORWARD_OPERATIONS = 2 * 9 * WIDTH * (32 * 32 + WIDTH * 16 * 16 + WIDTH * 8 * 8)
"""Of the three convolutions, for one image."""
MODES = ("ours:fp32", "ours:bf16", "compiled:fp32", "compiled:bf16")


def random_data() -> dd.TargetData:
    """Random images of Fashion-MNIST's shape: a step's cost does not depend on the pixels."""
    random = torch.Generator().manual_seed(0)
    n = CLASSES * 600
    images = torch.randint(0, 256, (n, 28, 28), generator=random, dtype=torch.uint8)
    return dd.load_data({"x_train": images, "y_train": torch.arange(n) % CLASSES}, name="random 28 px")


def plain_features() -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(3):
        layers += [nn.Conv2d(1 if i == 0 else WIDTH, WIDTH, 3, padding=3 if i == 0 else 1)]
        layers += [nn.GroupNorm(WIDTH, WIDTH), nn.ReLU(), nn.AvgPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten())


def time_ours(method: dd.Method, steps: int, precision: str, compiled: bool) -> list[float]:
    """Time the steps of a real run, between its callbacks.

    Compilation falls into the first, which does not count.
    """
    moments = [time.perf_counter()]
    dd.distill(
        random_data(),
        method,
        steps=steps + 2,
        precision=precision,
        compile=compiled,
        device="cpu",
        callbacks=[lambda _: moments.append(time.perf_counter())],
    )
    return [b - a for a, b in pairwise(moments[2:])]


def timed(step: Callable[[], object], steps: int) -> list[float]:
    step()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds


def convolution_rate(precision: str) -> float:
    """Return the operations per second that the network's middle convolution reaches here."""
    warm_allocator(torch.device("cpu"))
    images, weight = torch.randn(32, WIDTH, 16, 16), torch.randn(WIDTH, WIDTH, 3, 3)
    with torch.no_grad(), autocast(precision, torch.device("cpu")):
        return 32 * 2 * 9 * WIDTH * WIDTH * 16 * 16 / min(timed(lambda: F.conv2d(images, weight, padding=1), 60))


def matching_step_alone(name: str, ipc: int) -> dd.Method:
    """Return the paper's method on fresh networks.

    There is no inner training, and no warm-up class by class.
    """
    method = dd.override(
        dd.methods.build_method(name, ipc=ipc, preset="paper", data="mnist"), "networks", dd.sources.FreshNetworks()
    )
    return dd.override(method, "matching.warmup_networks", 0) if name == "dcc" else method


def step_arguments(doc: str | None, steps: int) -> argparse.ArgumentParser:
    """Return the options that the step benchmarks share."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=steps, help="steps per measurement")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; plain and ours take turns in each")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser


def report_seconds(seconds: list[float]) -> None:
    """Print a child's median seconds and peak memory."""
    print(statistics.median(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure(module: str, mode: str, steps: int) -> tuple[float, float]:
    """Measure in a fresh process, so that neither memory nor the allocator's state carries over."""
    command = [sys.executable, "-m", module, "--child", mode, "--steps", str(steps)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ)).stdout.split()
    return float(out[-2]), float(out[-1])


def compare(module: str, plain: str, modes: list[str], steps: int, rounds: int) -> dict[str, list[list[float]]]:
    """Return mode -> [seconds, peak MB, plain seconds / seconds] of every round.

    Plain and ours take turns.
    """
    found: dict[str, list[list[float]]] = {mode: [] for mode in [plain, *modes]}
    for _ in range(rounds):
        seconds, memory = measure(module, plain, steps)
        found[plain].append([seconds, memory, 1.0])
        print(f"{plain}: {seconds:.2f} s", file=sys.stderr, flush=True)
        for mode in modes:
            ours, memory = measure(module, mode, steps)
            found[mode].append([ours, memory, seconds / ours])
            print(f"{mode}: {ours:.2f} s, {seconds / ours:.2f} x", file=sys.stderr, flush=True)
    return found


def write_comparison(
    name: str,
    found: dict[str, list[list[float]]],
    operations: float,
    budget: dict[str, Any],
    memory: list[dict[str, Any]] | None = None,
) -> None:
    """Write medians, ratios with their range over rounds, and the distance to the floor.

    The floor is that of ``operations`` per step.
    """
    rates = {precision: convolution_rate(precision) for precision in ("fp32", "bf16")}
    rows = []
    for mode, measured in found.items():
        seconds, peak, ratio = (statistics.median(column) for column in zip(*measured, strict=True))
        rate = rates["bf16" if mode.endswith("bf16") else "fp32"]
        ratios = [m[2] for m in measured]
        rows.append(
            {
                "implementation": mode.replace(":", ", "),
                "s per step": f"{seconds:.2f}",
                "times faster": f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                "floor s": f"{operations / rate:.2f}",
                "over the floor": f"{seconds * rate / operations:.2f}",
                "peak MB": f"{peak:.0f}",
                "GFLOP/s of one convolution": f"{rate / 1e9:.0f}",
            }
        )
    table = markdown(rows) + ("\n\n" + markdown(memory) if memory else "")
    write_results(name, {"seconds, peak MB, ratio": found, "memory": memory or []}, budget, table)
