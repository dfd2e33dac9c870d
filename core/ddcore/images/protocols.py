"""Evaluation protocols that augment images."""

from __future__ import annotations

from ddcore.images.augmentation import FAMILIES, Chain, CutMix, OneMove, RandomResizedCrop, SiameseAugmentation
from ddcore.images.networks import ConvNet, ResNet18
from ddcore.labels import TeacherLabelling
from ddcore.parts import Augmentation
from ddcore.training import HARD, Protocol, Training


def _idc(*augmentations: Augmentation) -> Training:
    families = ("flip",), ("color",), ("crop", "scale", "rotate")
    views = (*(SiameseAugmentation(f) for f in families), *augmentations)
    return Training(
        epochs=1000, batch_size=64, drop_at=(2 / 3, 5 / 6), drop=0.2, restart=False, augmentation=Chain(views)
    )


def _frepo(name: str, families: tuple[str, ...]) -> Protocol:
    training = Training(
        updates={10: 1000, 100: 2000, 200: 20_000, 400: 5000, 1000: 10_000, 2000: 40_000},
        optimiser="adam",
        learning_rate=3e-4,
        batch_size=500,
        drop_at=1.0,
        warmup=500,
        cosine=0.01,
        augmentation=SiameseAugmentation(families, brightness=0.5, scale=1.25, cutout=0.25),
    )
    return Protocol(name, training, ConvNet(norm="none", widening=2, init="lecun"))


FAIR = Training(
    updates={1: 500},
    optimiser="adamw",
    learning_rate=1e-3,
    weight_decay=0.01,
    batch_size=100,
    drop_at=1.0,
    cosine=0.0,
    augmentation=Chain((RandomResizedCrop(scale=(0.5, 1.0)), CutMix(0.5))),
)
"""One schedule for all kinds of labels, and as many updates whatever is trained on.

Optimiser, rates, crops and CutMix are those that EDC and RDED train by. The number of updates is
ours.
"""
TEMPERATURE = 20.0
"""At which large-scale methods soften a teacher's logits."""


IMAGE_PROTOCOLS = (
    Protocol("dc-mnist", Training(epochs=1000, augmentation=OneMove()), ConvNet()),
    Protocol("dsa", Training(epochs=1000, augmentation=SiameseAugmentation()), ConvNet()),
    Protocol("idc", _idc(CutMix(0.5)), ConvNet()),
    Protocol("idc-mnist", _idc(), ConvNet()),
    Protocol("it-gan", Training(epochs=200, augmentation=SiameseAugmentation()), ResNet18(norm="batch")),
    Protocol("datm", Training(epochs=1000, batch_size=128, augmentation=SiameseAugmentation()), ConvNet()),
    Protocol("hard", FAIR, labels=HARD),
    Protocol("fixed-soft", FAIR, labels=TeacherLabelling("soft", temperature=TEMPERATURE)),
    Protocol("teacher", FAIR, labels=TeacherLabelling("teacher", temperature=TEMPERATURE)),
    _frepo("frepo", FAMILIES),
    _frepo("frepo-grey", tuple(f for f in FAMILIES if f != "flip")),
)
"""Those of the methods that they are named after, and three that differ in labels alone.

See docs/evaluation.md.
"""
