"""G-VBSM: statistics of all layers, of several teachers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from ddcore.ground.optimiser import Optimiser
from ddcore.images import Chain, Pixels, RandomResizedCrop, RandomRoll, SiameseAugmentation
from ddcore.labels import TeacherLabelling
from ddcore.matching import StatisticMatching
from ddcore.methods.presets import settled_preset
from ddcore.methods.sre2l import soft_labels
from ddcore.parts import Augmentation, Ipc, Method
from ddcore.sources import Teachers


class Recovery(NamedTuple):
    """What the source publishes for one data set.

    Attributes:
        rate: learning rate of the images.
        batch: images per batch.
        momentum: of running statistics.
        drop: probability with which a convolution is left out.
        patch: side of a patch.
        crop: ``shifted``: images are padded and moved; ``resized``: parts are brought to full size.
        padding: of shifted images, as a share of their side.
    """

    rate: float
    batch: int
    momentum: float
    drop: float
    patch: int
    crop: str
    padding: float = 0.125


PUBLISHED: Mapping[str, Recovery] = {
    "cifar10": Recovery(0.05, 100, 0.8, 0.4, 4, "shifted"),
    "cifar100": Recovery(0.05, 100, 0.8, 0.4, 4, "shifted"),
    "tiny-imagenet": Recovery(0.05, 100, 0.8, 0.4, 4, "shifted"),
    "imagenet": Recovery(0.1, 80, 0.4, 0.0, 16, "resized"),
}
STEPS, ROLL = 4000, 32


def g_vbsm(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """Match the statistics before every BatchNorm and convolution of several teachers in turn.

    Settings of the authors' code (Shao et al. 2024, arXiv:2311.17950) for CIFAR, Tiny ImageNet and
    ImageNet-1K (``imagenet``); other data take CIFAR-10's: running statistics, patches,
    densification with weight 1, statistics with weight .01, noise at first, Adam with betas .5 and
    .9, a cosine to zero, 4000 steps, and labels by all teachers for each view. Its networks train
    on the teachers' logits by squared errors; here they train on softened probabilities, as those
    of `sre2l`. Where it mirrors and moves an image, one draw here does one of both.

    Preset ``cpu``: 300 steps at .02, no augmentation, from real images, one soft label each.

    It needs teachers with BatchNorm: ``method.with_teachers(first, second)``.
    """
    preset = settled_preset(preset)
    on_cpu = preset == "cpu"
    paper = PUBLISHED.get(data or "", PUBLISHED["cifar10"])
    shifted: Augmentation = SiameseAugmentation(("crop", "flip"), crop=paper.padding)
    moved = shifted if paper.crop == "shifted" else RandomResizedCrop()
    return Method(
        name="g_vbsm",
        preset=preset,
        cites=("g_vbsm", "sre2l"),
        factorization=Pixels(ipc=ipc, init="random" if on_cpu else "noise", storage="uint8", clip=True),
        matching=StatisticMatching(
            weight=0.01,
            first=10.0,
            batch_size=paper.batch,
            order="classes",
            momentum=paper.momentum,
            convolutions=True,
            patch=paper.patch,
            drop=paper.drop,
            density=1.0,
        ),
        networks=Teachers(),
        optimiser=Optimiser("adam", learning_rate=0.02 if on_cpu else paper.rate, betas=(0.5, 0.9), schedule="cosine"),
        augmentation=Chain(() if on_cpu else (moved, RandomRoll(ROLL))),
        steps=300 if on_cpu else STEPS,
        protocol="teacher",
        labels=_labels(preset),
    )


def _labels(preset: str) -> TeacherLabelling:
    """Return the labels of SRe2L, for 1000 epochs of batches of 100."""
    labels = soft_labels(preset)
    return labels if preset == "cpu" else replace(labels, epochs=1000, batch_size=100)
