"""MTT: dataset distillation by matching training trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from ddcore.ground.optimiser import Optimiser
from ddcore.images import ConvNet, Pixels, SiameseAugmentation
from ddcore.matching import StepSizes, TrajectoryMatching
from ddcore.methods.presets import entry_for, settled_preset
from ddcore.parts import Ipc, Method, largest_ipc
from ddcore.sources import ExpertSegments, ExpertTraining


class Segment(NamedTuple):
    """What a source publishes for one data set and one number of examples per class.

    Attributes:
        inner_steps: on synthetic examples.
        length: epochs of the expert from the start to the target.
        last_start: the latest start is before this epoch.
        image_rate: learning rate of the images.
        step_size_rate: learning rate of the step size.
        first_step_size: the step size at first.
        zca: whether the data is whitened.
        batch: synthetic examples in an inner step; None: all.
    """

    inner_steps: int
    length: int
    last_start: int
    image_rate: float
    step_size_rate: float
    first_step_size: float = 0.01
    zca: bool = True
    batch: int | None = None


Table = Mapping[str, Mapping[int, Segment]]

PUBLISHED: Table = {
    "cifar10": {
        1: Segment(50, 2, 2, 100.0, 1e-7),
        10: Segment(30, 2, 20, 100.0, 1e-5, first_step_size=0.001),
        50: Segment(30, 2, 40, 1000.0, 1e-5, first_step_size=0.001, zca=False),
    },
    "cifar100": {
        1: Segment(20, 3, 20, 1000.0, 1e-5),
        10: Segment(20, 2, 20, 1000.0, 1e-5, zca=False),
        50: Segment(80, 2, 40, 1000.0, 1e-5, batch=125),
    },
    "tiny-imagenet": {
        1: Segment(10, 2, 10, 1e4, 1e-4, zca=False),
        10: Segment(20, 2, 40, 1e4, 1e-4, zca=False, batch=200),
        50: Segment(20, 2, 40, 1e4, 1e-4, zca=False, batch=300),
    },
}


def mtt(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """Train on the synthetic set from an expert's weights, towards that expert's later weights.

    Settings of the paper (arXiv:2203.11932, its table of commands): 100 experts of 50 epochs, a
    learned step size, no inner momentum, 5000 steps, outer SGD with momentum .5. Segments are
    chosen by ipc for CIFAR-10, CIFAR-100 and Tiny ImageNet. Other data take CIFAR-10's, without
    ZCA. The gradient is the exact one in constant memory.

    Preset ``cpu``: 10 experts of 8 epochs at .05 in batches of 64. Segments are of 3 epochs and
    start before epoch 6, with 30 inner steps of up to 3 examples per class. Adam at .05 (step size
    .01, through a softplus). 200 steps up to 1 per class, else 100.
    """
    preset = settled_preset(preset)
    segment = published_segment(PUBLISHED, ipc, data)
    method = Method(
        name="mtt",
        preset=preset,
        cites=("mtt", "dsa"),
        factorization=Pixels(ipc=ipc, init="random"),
        matching=TrajectoryMatching(step_sizes=StepSizes(segment.first_step_size, "shared")),
        networks=ExpertSegments(ConvNet(), training=ExpertTraining(augmentation=SiameseAugmentation())),
        augmentation=SiameseAugmentation(),
        steps=5000,
        protocol="dsa",
    )
    return on_cpu(method, ipc) if preset == "cpu" else with_segment(method, segment, whitened=data in PUBLISHED)


def published_segment(table: Table, ipc: Ipc, data: str | None) -> Segment:
    """Return the entry of ``data``, or of CIFAR-10.

    It is the one for the largest published number of examples that ``ipc`` reaches.
    """
    return entry_for(table.get(data or "", table["cifar10"]), largest_ipc(ipc))


def with_segment(method: Method, segment: Segment, *, whitened: bool) -> Method:
    """Return a trajectory method with what its source publishes for a segment.

    Args:
        method: with trajectory matching on experts.
        segment: the published settings.
        whitened: whether the data is the source's own. Only then is it whitened.
    """
    assert isinstance(method.matching, TrajectoryMatching) and isinstance(method.networks, ExpertSegments)
    rates = {**method.optimiser.group_learning_rates, "step_sizes": segment.step_size_rate}
    return replace(
        method,
        matching=replace(
            method.matching,
            inner_steps=segment.inner_steps,
            synthetic_total=segment.batch,
            step_sizes=replace(method.matching.step_sizes, initial=segment.first_step_size),
        ),
        networks=replace(method.networks, length=segment.length, last_start=segment.last_start),
        optimiser=replace(method.optimiser, learning_rate=segment.image_rate, group_learning_rates=rates),
        normalisation="zca" if segment.zca and whitened else None,
    )


def on_cpu(method: Method, ipc: Ipc) -> Method:
    """Return a trajectory method with settings for small images on a processor."""
    assert isinstance(method.matching, TrajectoryMatching) and isinstance(method.networks, ExpertSegments)
    matching = replace(
        method.matching,
        inner_steps=30,
        synthetic_batch=3,
        synthetic_total=None,
        step_sizes=StepSizes(0.05, "shared", positive=True),
    )
    rates = dict.fromkeys({"step_sizes": 0, **method.optimiser.group_learning_rates}, 0.01)
    training = replace(method.networks.training, epochs=8, batch_size=64, learning_rate=0.05)
    return replace(
        method,
        matching=matching,
        networks=ExpertSegments(ConvNet(), length=3, last_start=6, count=10, training=training),
        optimiser=Optimiser("adam", learning_rate=0.05, group_learning_rates=rates),
        normalisation=None,
        steps=200 if largest_ipc(ipc) == 1 else 100,
    )
