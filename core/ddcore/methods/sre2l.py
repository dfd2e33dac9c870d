"""SRe2L and CDA: images that a teacher takes for their class, with the statistics it has seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ddcore.ground.optimiser import Optimiser
from ddcore.images import Chain, CutMix, Pixels, RandomResizedCrop, RandomRoll
from ddcore.labels import TeacherLabelling
from ddcore.matching import StatisticMatching
from ddcore.methods.presets import settled_preset
from ddcore.parts import Augmentation, Ipc, Method
from ddcore.sources import Teachers


class Recovery(NamedTuple):
    """What a source publishes for one data set.

    Attributes:
        weight: of the statistics.
        rate: learning rate of the images.
        steps: updates of each image.
        roll: pixels by which images are rolled at most.
        crops: whether a step sees a random part of the images, perhaps mirrored.
    """

    weight: float
    rate: float
    steps: int
    roll: int
    crops: bool = True


SRE2L: Mapping[str, Recovery] = {
    "imagenet": Recovery(0.01, 0.25, 4000, 32),
    "tiny-imagenet": Recovery(1.0, 0.1, 4000, 4),
    "cifar100": Recovery(0.01, 0.25, 1000, 4, crops=False),
}
CDA: Mapping[str, Recovery] = {
    "imagenet": Recovery(0.01, 0.25, 4000, 32),
    "tiny-imagenet": Recovery(0.05, 0.4, 4000, 4),
}
CPU = Recovery(0.01, 0.02, 300, 0, crops=False)
TEMPERATURE = 20.0


def sre2l(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """Match a teacher's BatchNorm statistics with images that it takes for their class.

    Settings of the authors' code (Yin et al. 2023, arXiv:2306.13092): noise at first, Adam with
    betas .5 and .9, a cosine to zero, batches of 100, pixels clipped after every step, the first
    BatchNorm ten times. Weight, learning rate, steps and crops are those of ImageNet-1K
    (``imagenet``), Tiny ImageNet or CIFAR-100; other data take CIFAR-100's. Labels are those of
    ImageNet-1K for all data: one per view of 300 epochs, at temperature 20, in batches of 1024.
    For the other two the code lets the teacher label during training.

    Preset ``cpu``: 300 steps at .02 with weight .01 and no crops, from real images, and one soft
    label per example.

    It needs a teacher with BatchNorm: ``method.with_teachers(teacher)``.
    """
    preset = settled_preset(preset)
    paper = SRE2L.get(data or "", SRE2L["cifar100"])
    return _recovered("sre2l", ipc, preset, CPU if preset == "cpu" else paper, RandomResizedCrop())


def cda(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """SRe2L with a curriculum of crops: from whole images to parts of .08 of their area.

    Settings of the authors' code (Yin & Shen 2024, arXiv:2311.18838) for ImageNet-1K
    (``imagenet``) and Tiny ImageNet, which other data take too; else those of SRe2L.

    Preset ``cpu``: 300 steps at .02 with weight .01, crops from the whole image to .5 of its area,
    from real images, and one soft label per example.
    """
    preset = settled_preset(preset)
    paper = CDA.get(data or "", CDA["tiny-imagenet"])
    small = CPU._replace(crops=True)
    crop = RandomResizedCrop(scale=(1.0, 1.0), ends_at=0.5 if preset == "cpu" else 0.08)
    return _recovered("cda", ipc, preset, small if preset == "cpu" else paper, crop)


def _recovered(name: str, ipc: Ipc, preset: str, recovery: Recovery, crop: RandomResizedCrop) -> Method:
    views: list[Augmentation] = [crop] if recovery.crops else []
    on_cpu = preset == "cpu"
    return Method(
        name=name,
        preset=preset,
        cites=("sre2l", "cda") if name == "cda" else ("sre2l",),
        factorization=Pixels(ipc=ipc, init="random" if on_cpu else "noise", storage="uint8", clip=True),
        matching=StatisticMatching(weight=recovery.weight, first=10.0, batch_size=100),
        networks=Teachers(),
        optimiser=Optimiser("adam", learning_rate=recovery.rate, betas=(0.5, 0.9), schedule="cosine"),
        augmentation=Chain((*views, RandomRoll(recovery.roll))),
        steps=recovery.steps,
        protocol="teacher",
        labels=soft_labels(preset),
    )


def soft_labels(preset: str) -> TeacherLabelling:
    """Return one label per example for preset ``cpu``, else one for each view of 300 epochs."""
    if preset == "cpu":
        return TeacherLabelling("soft", temperature=TEMPERATURE)
    views = Chain((RandomResizedCrop(), CutMix(1.0)))
    return TeacherLabelling("soft-per-view", temperature=TEMPERATURE, batch_size=1024, augmentation=views)
