"""HaBa: dataset distillation via factorization."""

from __future__ import annotations

from dataclasses import replace

from ddcore.ground.optimiser import Optimiser
from ddcore.images import Contrast, ConvNet, Hallucinators
from ddcore.matching import StepSizes, TrajectoryMatching
from ddcore.methods.mtt import Segment, Table, mtt, on_cpu, published_segment, with_segment
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method, largest_ipc
from ddcore.sources import ExpertSegments

PUBLISHED: Table = {
    "cifar10": {
        1: Segment(50, 2, 2, 100.0, 1e-7),
        10: Segment(30, 2, 20, 100.0, 1e-5, first_step_size=0.001),
        50: Segment(30, 2, 20, 100.0, 1e-5),
    },
}
FLOOR = 0.001
"""The step size is set back to this where an update left it below."""


def haba(ipc: Ipc = 1, preset: str | None = None, data: str | None = None) -> Method:
    """Bases and hallucinators by matching trajectories, with an adversarial contrast.

    Settings of the paper (arXiv:2210.16774 and its code): ``ipc`` bases per class, and beside them
    5 hallucinators, which are counted in the bytes. SGD at 100 with momentum .95 moves both. The
    adversary has SGD at .001 with .9. The step size has momentum .9 and does not fall below .001.
    15 000 steps. Segments are of 2 epochs, by ipc as published for CIFAR-10, with ZCA.

    Two things differ. There an inner step takes all bases under one hallucinator; here it takes as
    many examples, of pairs drawn at random. The code standardises every batch, also of the test
    images; this does not.

    Preset ``cpu``: hallucinators start near the identity, an adversary of width 32, Adam, bytes;
    else as MTT's.
    """
    preset = settled_preset(preset)
    size, cpu = largest_ipc(ipc), preset == "cpu"
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
            synthetic_batch=size,
            synthetic_total=None,
            step_sizes=StepSizes(learned="shared", floor=FLOOR),
        ),
        optimiser=Optimiser(
            "sgd",
            learning_rate=100.0,
            group_learning_rates={"step_sizes": 1e-5, "adversary": 1e-3},
            momentum=0.95,
            group_momenta={"step_sizes": 0.9, "adversary": 0.9},
        ),
        steps=15_000,
    )
    if not cpu:
        return with_segment(method, published_segment(PUBLISHED, ipc, data), whitened=data in PUBLISHED)
    narrow = Contrast(architecture=ConvNet(width=32))
    small = replace(method.factorization, hallucinator_init="identity", contrast=narrow, storage="uint8")  # type: ignore[type-var]
    method = on_cpu(replace(method, factorization=small), ipc)
    rates = {**small.learning_rates(), "step_sizes": 0.01}
    return replace(method, optimiser=replace(method.optimiser, group_learning_rates=rates))
