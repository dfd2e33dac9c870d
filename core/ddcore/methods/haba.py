"""HaBa: dataset distillation via factorization."""

from __future__ import annotations

from dataclasses import replace

from ddcore.engine.optimiser import Optimiser
from ddcore.factorization import Contrast, Hallucinators, Ipc, largest_ipc
from ddcore.matching import StepSizes, TrajectoryMatching
from ddcore.method import Method
from ddcore.methods.mtt import mtt, on_cpu
from ddcore.methods.presets import check_preset
from ddcore.networks import ConvNet, ExpertSegments

SEGMENTS: dict[int, tuple[int, int, float, float]] = {
    1: (50, 2, 1e-7, 0.01),
    10: (30, 20, 1e-5, 0.001),
    50: (30, 20, 1e-5, 0.01),
}
"""ipc -> inner steps, latest start, learning rate of the step size, first step size."""


def haba(ipc: Ipc = 1, preset: str = "paper", data: str | None = None) -> Method:
    """Bases and hallucinators by matching trajectories, with an adversarial contrast.

    Settings of the paper (arXiv:2210.16774 and its code): ``ipc`` bases per class, and beside them 5 hallucinators, which are counted in the
    bytes; SGD at 100 with momentum .95 for both, .001 for the adversary, 15 000 steps; segments of 2 epochs by ipc as published for CIFAR-10. There an
    inner step takes all bases under one hallucinator; here as many examples, of pairs drawn at random. The code standardises every batch, also of the
    test images; this does not. Preset ``cpu``: hallucinators start near the identity, an adversary of width 32, Adam, bytes; else as MTT's.
    """
    check_preset(preset)
    size, cpu = largest_ipc(ipc), preset == "cpu"
    inner, last_start, rate, first = SEGMENTS[max((k for k in SEGMENTS if k <= size), default=1)]
    base = mtt(ipc=ipc, preset="paper", data=data)
    assert isinstance(base.matching, TrajectoryMatching) and isinstance(base.networks, ExpertSegments)
    method = replace(
        base,
        name="haba",
        preset=preset,
        cites=("haba", "mtt", "dsa"),
        factorization=Hallucinators(ipc=ipc, hallucinator_init="default", contrast=Contrast()),
        matching=replace(
            base.matching,
            inner_steps=inner,
            synthetic_batch=size,
            step_sizes=StepSizes(first, "shared"),
        ),
        networks=replace(base.networks, length=2, last_start=last_start),
        optimiser=Optimiser(
            "sgd",
            learning_rate=100.0,
            group_learning_rates={"step_sizes": rate, "adversary": 1e-3},
            momentum=0.95,
        ),
        steps=15_000,
    )
    if not cpu:
        return method
    narrow = Contrast(architecture=ConvNet(width=32))
    small = replace(method.factorization, hallucinator_init="identity", contrast=narrow, storage="uint8")  # type: ignore[type-var]
    method = on_cpu(replace(method, factorization=small), ipc)
    rates = {**small.learning_rates(), "step_sizes": 0.01}
    return replace(method, optimiser=replace(method.optimiser, group_learning_rates=rates))
