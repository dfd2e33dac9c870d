"""One outer step of DM on 28 px images, beside a plain class-by-class implementation, in one run.

Ten classes of 256 real images, ipc 10, siamese augmentation, ConvNet-3 of width 128. The plain implementation is what a
reader of the paper writes first: a loop over classes at batch 256 with torch's own layers. The arithmetic floor counts
the convolutions' operations at the rate that one convolution reaches on this machine.
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

import torch
from torch import nn
from torch.nn import functional as F

import ddcore as dd
from benchmarks.common import markdown, write_results
from ddcore.augmentation import SiameseAugmentation
from ddcore.engine import autocast, warm_allocator

CLASSES, REAL, IPC, WIDTH = 10, 256, 10, 128


def random_data() -> dd.TargetData:
    """Random images of Fashion-MNIST's shape: a step's cost does not depend on the pixels."""
    random = torch.Generator().manual_seed(0)
    n = CLASSES * 600
    images = torch.randint(0, 256, (n, 28, 28), generator=random, dtype=torch.uint8)
    return dd.load_data({"x_train": images, "y_train": torch.arange(n) % CLASSES}, name="random 28 px")


def plain_network() -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(3):
        layers += [nn.Conv2d(1 if i == 0 else WIDTH, WIDTH, 3, padding=3 if i == 0 else 1)]
        layers += [nn.GroupNorm(WIDTH, WIDTH), nn.ReLU(), nn.AvgPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten())


class Plain:
    """The step written out: images normalised once, a loop over classes, one backward pass."""

    def __init__(self, target: dd.TargetData) -> None:
        self.real = target.spec.normalisation.apply(target.train.inputs)
        self.members = [(target.train.targets == c).nonzero().flatten() for c in range(CLASSES)]
        self.synthetic = torch.randn(CLASSES, IPC, 1, 28, 28, requires_grad=True)
        self.optimiser = torch.optim.SGD([self.synthetic], lr=1.0, momentum=0.5)
        self.augmentation = SiameseAugmentation()
        self.random = torch.Generator().manual_seed(0)

    def step(self) -> None:
        network = plain_network()
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        loss = torch.tensor(0.0)
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


def run_plain(steps: int) -> list[float]:
    plain = Plain(random_data())
    return timed(plain.step, steps)


def run_ours(steps: int, precision: str, compiled: bool) -> list[float]:
    """Time the steps of a real run, between its callbacks; compilation falls into the first, which does not count."""
    moments = [time.perf_counter()]
    dd.distill(
        random_data(),
        dd.methods.dm(ipc=IPC),
        steps=steps + 2,
        precision=precision,
        compile=compiled,
        device="cpu",
        callbacks=[lambda _: moments.append(time.perf_counter())],
    )
    return [b - a for a, b in pairwise(moments[2:])]


def timed(step: Callable[[], None], steps: int) -> list[float]:
    step()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds


def floor_seconds(precision: str) -> tuple[float, float]:
    """Return (seconds that the convolutions of one step need at the measured rate, that rate in GFLOP/s)."""
    warm_allocator(torch.device("cpu"))
    images, weight = torch.randn(32, WIDTH, 16, 16), torch.randn(WIDTH, WIDTH, 3, 3)
    with torch.no_grad(), autocast(precision, torch.device("cpu")):
        rate = 32 * conv_operations(16, WIDTH) / min(timed(lambda: F.conv2d(images, weight, padding=1), 60))
    forward = conv_operations(32, 1) + conv_operations(16, WIDTH) + conv_operations(8, WIDTH)
    # A synthetic image costs a forward pass and the backward pass to its pixels, about as much again.
    operations = CLASSES * (REAL + 2 * IPC) * forward
    return operations / rate, rate / 1e9


def conv_operations(side: int, channels: int) -> int:
    return 2 * side * side * channels * WIDTH * 9


def child(mode: str, steps: int) -> None:
    """Run one measurement in its own process and print its median seconds and peak memory."""
    name, _, precision = mode.partition(":")
    seconds = run_plain(steps) if name == "plain" else run_ours(steps, precision, name == "compiled")
    print(statistics.median(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure(mode: str, steps: int) -> tuple[float, float]:
    """Measure in a fresh process, so that neither memory nor the allocator's state carries over."""
    command = [sys.executable, "-m", "benchmarks.distribution_step", "--child", mode, "--steps", str(steps)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ)).stdout.split()
    return float(out[-2]), float(out[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5, help="steps per measurement")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; plain and ours take turns in each")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.steps)
        return
    modes = ["ours:fp32", "ours:bf16", "compiled:fp32", "compiled:bf16"]
    found: dict[str, list[tuple[float, float, float]]] = {mode: [] for mode in ["plain", *modes]}
    for _ in range(options.rounds):
        plain, memory = measure("plain", options.steps)
        found["plain"].append((plain, memory, 1.0))
        for mode in modes:
            seconds, memory = measure(mode, options.steps)
            found[mode].append((seconds, memory, plain / seconds))
            print(f"{mode}: {seconds:.2f} s, {plain / seconds:.2f} x", file=sys.stderr, flush=True)
    floors = {precision: floor_seconds(precision) for precision in ("fp32", "bf16")}
    rows = []
    for mode, measured in found.items():
        seconds, memory, ratio = (statistics.median(column) for column in zip(*measured, strict=True))
        floor, rate = floors["bf16" if mode.endswith("bf16") else "fp32"]
        rows.append(
            {
                "implementation": mode.replace(":", ", "),
                "s per step": f"{seconds:.2f}",
                "times faster": f"{ratio:.2f} ({min(m[2] for m in measured):.2f} to {max(m[2] for m in measured):.2f})",
                "floor s": f"{floor:.2f}",
                "over the floor": f"{seconds / floor:.2f}",
                "peak MB": f"{memory:.0f}",
                "GFLOP/s of one convolution": f"{rate:.0f}",
            }
        )
    budget = {"steps": options.steps, "rounds": options.rounds, "seed": 0}
    write_results("distribution_step", {k: [list(m) for m in v] for k, v in found.items()}, budget, markdown(rows))


if __name__ == "__main__":
    main()
