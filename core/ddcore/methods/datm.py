"""DATM: difficulty-aligned trajectory matching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from ddcore.images import ConvNet, Pixels
from ddcore.matching import StepSizes, TrajectoryMatching
from ddcore.methods.mtt import Segment, mtt, on_cpu, with_segment
from ddcore.methods.presets import entry_for, settled_preset
from ddcore.parts import Ipc, Method, largest_ipc
from ddcore.settings import override
from ddcore.sources import ExpertSegments

STEPS = 10_000


class Difficulty(NamedTuple):
    """A segment, and what the source varies beside it.

    Attributes:
        segment: as MTT's.
        label_rate: learning rate of the labels.
        early: the latest start at first, where it grows to that of the segment.
        growth: steps in which it grows.
        first_start: the earliest start.
    """

    segment: Segment
    label_rate: float = 10.0
    early: int | None = None
    growth: int = 0
    first_start: int = 0


PUBLISHED: Mapping[str, Mapping[int, Difficulty]] = {
    "cifar10": {
        1: Difficulty(Segment(80, 2, 4, 100.0, 1e-7), label_rate=5.0),
        10: Difficulty(Segment(80, 2, 20, 100.0, 1e-5), label_rate=2.0, early=10, growth=1000),
        50: Difficulty(Segment(80, 2, 40, 1000.0, 1e-5), label_rate=2.0, early=20, growth=2000),
        500: Difficulty(Segment(40, 2, 60, 50.0, 1e-5, batch=1000), first_start=40),
        1000: Difficulty(Segment(100, 2, 60, 50.0, 1e-5, batch=1000), first_start=40),
    },
    "cifar100": {
        1: Difficulty(Segment(40, 3, 20, 1000.0, 1e-5), early=10, growth=1000),
        10: Difficulty(Segment(80, 2, 50, 1000.0, 1e-5), early=30, growth=2000),
        50: Difficulty(Segment(80, 2, 70, 1000.0, 1e-5, batch=1000), first_start=20),
        100: Difficulty(Segment(80, 2, 70, 50.0, 1e-5, batch=1000), first_start=30),
    },
    "tiny-imagenet": {
        1: Difficulty(Segment(40, 2, 20, 1e4, 1e-4), early=15, growth=2000),
        10: Difficulty(Segment(40, 2, 50, 100.0, 1e-4, batch=500), first_start=10),
        50: Difficulty(Segment(20, 2, 70, 100.0, 1e-4, batch=1000), first_start=40),
    },
}


def datm(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """MTT with learned soft labels, on segments as difficult as the size of the set allows.

    It begins with easy segments.

    Settings of the paper (arXiv:2310.05773, its configurations): segments by data and ipc, 10 000
    steps, experts of 100 epochs trained as FTD's, labels learned as logits with momentum .9, ZCA.
    Labels begin as one expert's predictions. The paper averages several experts, begins with images
    that they classify correctly, and leaves out steps whose loss is above 1.

    Preset ``cpu``: starts before epoch 3, later 6, else MTT's.
    """
    preset = settled_preset(preset)
    published = entry_for(PUBLISHED.get(data or "", PUBLISHED["cifar10"]), largest_ipc(ipc))
    base = mtt(ipc, "paper", data)
    assert isinstance(base.networks, ExpertSegments) and isinstance(base.matching, TrajectoryMatching)
    training = replace(base.networks.training, epochs=100, sharpness=0.01, gap=0.3)
    method = replace(
        base,
        name="datm",
        preset=preset,
        cites=("datm", "ftd", "mtt", "dsa"),
        factorization=Pixels(ipc=ipc, init="random", labels="softmax"),
        matching=TrajectoryMatching(step_sizes=StepSizes(learned="shared"), labels="assigned_once"),
        networks=ExpertSegments(ConvNet(), training=training),
        optimiser=replace(
            base.optimiser, group_learning_rates={"labels": published.label_rate}, group_momenta={"labels": 0.9}
        ),
        steps=STEPS,
        protocol="datm",
    )
    if preset == "cpu":
        smaller = on_cpu(method, ipc)
        return override(override(smaller, "networks.early_last_start", 3), "networks.growth", 0.2)
    method = with_segment(method, published.segment, whitened=data in PUBLISHED)
    for path, value in (
        ("networks.first_start", published.first_start),
        ("networks.early_last_start", published.early),
        ("networks.growth", published.growth / STEPS),
    ):
        method = override(method, path, value)
    return method
