"""MTT: dataset distillation by matching training trajectories."""

from __future__ import annotations

from dataclasses import replace

from ddcore.augmentation import SiameseAugmentation
from ddcore.engine.optimiser import Optimiser
from ddcore.factorization import Ipc, Pixels, largest_ipc
from ddcore.matching import StepSizes, TrajectoryMatching
from ddcore.method import Method
from ddcore.methods.presets import check_preset
from ddcore.networks import ExpertSegments

Segment = tuple[int, int, int, float, float, float]

CIFAR10: dict[int, Segment] = {
    1: (50, 2, 2, 100.0, 1e-7, 0.01),
    10: (30, 2, 20, 100.0, 1e-5, 0.001),
    50: (30, 2, 40, 1000.0, 1e-5, 0.001),
}
CIFAR100: dict[int, Segment] = {
    1: (20, 3, 20, 1000.0, 1e-5, 0.01),
    10: (20, 2, 20, 1000.0, 1e-5, 0.01),
    50: (80, 2, 40, 1000.0, 1e-5, 0.01),
}
"""ipc -> inner steps, epochs of a segment, latest start, learning rates of images and of the step size, first step size."""


def mtt(ipc: Ipc = 10, preset: str = "paper", data: str | None = None) -> Method:
    """Train from an expert's weights on the synthetic set, and arrive where the expert arrived some epochs later.

    Settings of the paper (arXiv:2203.11932, appendix and its code): 100 experts of 50 epochs, a learned step size, no inner
    momentum, 5000 steps, outer SGD with momentum .5; segments by ipc and data as published for CIFAR-10 and CIFAR-100 (other data:
    CIFAR-10's); inner batches of 256 examples (CIFAR-100 at 50 per class: 125) as the nearest whole number per class. The gradient is the exact one in constant memory. Preset ``cpu``: 10 experts of 8 epochs at .05 in batches of 64, segments of
    3 epochs from before epoch 6, 30 inner steps of up to 3 examples per class, Adam at .05 (step size .01, through a softplus), 200
    steps up to 1 per class, else 100.
    """
    check_preset(preset)
    size = largest_ipc(ipc)
    table = CIFAR100 if data == "cifar100" else CIFAR10
    inner, length, last_start, images, rate, first = table[max((k for k in table if k <= size), default=1)]
    method = Method(
        name="mtt",
        preset=preset,
        cites=("mtt", "dsa"),
        factorization=Pixels(ipc=ipc, init="random"),
        matching=TrajectoryMatching(
            inner_steps=inner,
            synthetic_batch=None if size < 50 else 1 if data == "cifar100" else 25,
            step_sizes=StepSizes(first, "shared"),
        ),
        networks=ExpertSegments(length=length, last_start=last_start),
        optimiser=Optimiser("sgd", learning_rate=images, group_learning_rates={"step_sizes": rate}, momentum=0.5),
        augmentation=SiameseAugmentation(),
        steps=5000,
    )
    return on_cpu(method, ipc) if preset == "cpu" else method


def on_cpu(method: Method, ipc: Ipc) -> Method:
    """Return a trajectory method with settings for small images on a processor."""
    assert isinstance(method.matching, TrajectoryMatching) and isinstance(method.networks, ExpertSegments)
    matching = replace(
        method.matching,
        inner_steps=30,
        synthetic_batch=3,
        step_sizes=StepSizes(0.05, "shared", positive=True),
    )
    rates = dict.fromkeys(method.optimiser.group_learning_rates, 0.01)
    training = replace(method.networks.training, epochs=8, batch_size=64, learning_rate=0.05)
    return replace(
        method,
        matching=matching,
        networks=ExpertSegments(length=3, last_start=6, count=10, training=training),
        optimiser=Optimiser("adam", learning_rate=0.05, group_learning_rates=rates),
        steps=200 if largest_ipc(ipc) == 1 else 100,
    )
