"""DATM: difficulty-aligned trajectory matching."""

from __future__ import annotations

from dataclasses import replace

from ddcore.factorization import Ipc, Pixels, largest_ipc
from ddcore.matching import StepSizes, TrajectoryMatching
from ddcore.method import Method
from ddcore.methods.mtt import mtt, on_cpu
from ddcore.methods.presets import check_preset
from ddcore.networks import ExpertSegments
from ddcore.settings import override

CIFAR10: dict[int, tuple[int, int, float, float, float, float]] = {
    1: (4, 4, 0.0, 100.0, 5.0, 1e-7),
    10: (10, 20, 0.1, 100.0, 2.0, 1e-5),
    50: (20, 40, 0.2, 1000.0, 2.0, 1e-5),
}
"""ipc -> latest start at first and in the end, the share of the run in between, learning rates of images, labels and step size."""


def datm(ipc: Ipc = 10, preset: str = "paper", data: str | None = None) -> Method:
    """MTT on segments as difficult as the size of the set allows, from easy ones on, with learned soft labels.

    Settings of the paper (arXiv:2310.05773, its CIFAR-10 configurations): 80 inner steps on all examples, segments of 2 epochs whose latest
    start grows, experts of 100 epochs trained as FTD's with gap .3, 10 000 steps. Labels begin as one expert's predictions
    and are learned as logits; the paper averages several experts, and begins with images that they classify correctly.
    """
    check_preset(preset)
    size = largest_ipc(ipc)
    early, last, growth, images, labels, rate = CIFAR10[max((k for k in CIFAR10 if k <= size), default=1)]
    base = mtt(ipc, "paper", data)
    assert isinstance(base.networks, ExpertSegments) and isinstance(base.matching, TrajectoryMatching)
    training = replace(base.networks.training, epochs=100, sharpness=0.01, gap=0.3)
    method = replace(
        base,
        name="datm",
        preset=preset,
        cites=("datm", "ftd", "mtt", "dsa"),
        factorization=Pixels(ipc=ipc, init="random", labels="softmax"),
        matching=TrajectoryMatching(inner_steps=80, step_sizes=StepSizes(0.01, "shared"), labels="assigned_once"),
        networks=ExpertSegments(length=2, last_start=last, early_last_start=early, growth=growth, training=training),
        optimiser=replace(
            base.optimiser, learning_rate=images, group_learning_rates={"labels": labels, "step_sizes": rate}
        ),
        steps=10_000,
    )
    if preset != "cpu":
        return method
    smaller = on_cpu(method, ipc)
    return override(override(smaller, "networks.early_last_start", 3), "networks.growth", 0.2)
