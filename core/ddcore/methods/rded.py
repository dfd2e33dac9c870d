"""RDED: the parts of real images that a teacher finds easiest, joined to mosaics."""

from __future__ import annotations

from collections.abc import Mapping

from ddcore.images import MultiFormation, ScoredCrops
from ddcore.labels import TeacherLabelling
from ddcore.methods.presets import settled_preset
from ddcore.methods.sre2l import TEMPERATURE, soft_labels
from ddcore.parts import Ipc, Method

FACTORS: Mapping[str, int] = {"cifar10": 1, "cifar100": 1, "tiny-imagenet": 1}
"""Tiles along a side of a mosaic. Data of larger images have 2."""


def rded(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """Crop real images, keep the crops of lowest loss, and let the teacher label them. No step.

    Settings of the authors' code (Sun et al. 2024, arXiv:2312.03526): of each class 300 images,
    five crops of each, mosaics of 2 x 2 crops but for CIFAR and Tiny ImageNet, labels by the
    teacher during training, at temperature 20. Here each tile is an example; there a network
    trains on crops of whole mosaics.

    Preset ``cpu``: no mosaics, crops of .95 of the area at least, and one soft label per example.

    It needs a teacher: ``method.with_teachers(teacher)``.
    """
    preset = settled_preset(preset)
    on_cpu = preset == "cpu"
    crops = ScoredCrops(smallest=0.95) if on_cpu else ScoredCrops()
    online = TeacherLabelling("teacher", temperature=TEMPERATURE)
    return Method(
        name="rded",
        preset=preset,
        cites=("rded",),
        factorization=MultiFormation(
            ipc=ipc, factor=1 if on_cpu else FACTORS.get(data or "", 2), init=crops, storage="uint8"
        ),
        protocol="teacher",
        labels=soft_labels(preset) if on_cpu else online,
    )
