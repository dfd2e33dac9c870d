"""Differentiable siamese augmentation (DSA): one family per batch.

Real and synthetic examples get the same draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.errors import UnknownNameError
from ddcore.ground.devices import to_device
from ddcore.images.augmentation import operations
from ddcore.images.spec import ImageSpec
from ddcore.parts import Augmentation, Batch, NoAugmentation, Spec, View
from ddcore.settings import require

FAMILIES = ("color", "crop", "cutout", "flip", "scale", "rotate")


@dataclass(frozen=True)
class SiameseAugmentation(Augmentation):
    """All DSA families; each draw picks one of them with equal chance.

    Attributes:
        families: any of ``color`` (brightness, saturation and contrast together), ``crop``,
            ``cutout``, ``flip``, ``scale``, ``rotate``.
        brightness, saturation, contrast: strengths in normalised space.
        crop: largest translation, as a share of the side.
        cutout: side of the hole, as a share of the side.
        scale: largest factor, its inverse the smallest.
        rotate: largest angle, in degrees.

    Source: Zhao & Bilen 2021 (arXiv:2102.08259), table of default strengths.
    """

    families: tuple[str, ...] = FAMILIES
    brightness: float = 1.0
    saturation: float = 2.0
    contrast: float = 0.5
    crop: float = 0.125
    cutout: float = 0.5
    scale: float = 1.2
    rotate: float = 15.0

    modality: ClassVar[str | None] = "images"

    def __post_init__(self) -> None:
        for family in self.families:
            if family not in FAMILIES:
                raise UnknownNameError("augmentation family", family, FAMILIES)
        require(len(self.families) > 0, "an augmentation needs at least one family; use NoAugmentation for none")
        strengths = (self.brightness, self.saturation, self.contrast, self.crop, self.cutout, self.scale, self.rotate)
        require(all(0 <= s <= 1000 for s in strengths), f"strengths lie in [0, 1000], not {strengths}")
        require(self.scale >= 1, f"scale is the largest factor and at least 1, not {self.scale}")

    def suited_to(self, spec: Spec) -> Augmentation:
        """Leave out ``flip`` where a mirrored example may be of another class.

        Leave out all where there are no images.
        """
        if not isinstance(spec, ImageSpec):
            return NoAugmentation()
        if spec.mirror:
            return self
        kept = tuple(f for f in self.families if f != "flip")
        return replace(self, families=kept) if kept else NoAugmentation()

    def draw(self, generator: torch.Generator, count: int | None = None) -> View:
        family = self.families[int(torch.randint(len(self.families), (1,), generator=generator))]
        uniform = torch.rand(_UNIFORMS[family], count or 1, generator=generator)
        return SiameseView(self, family, uniform)


@dataclass(frozen=True)
class SiameseView(View):
    """One draw: a family, and uniform numbers that become its strengths.

    The numbers are ``parameters x 1`` or ``x n``.
    """

    settings: SiameseAugmentation
    family: str
    uniform: Tensor

    def __call__(self, batch: Batch) -> Batch:
        uniform = to_device(self.uniform, batch.inputs.device)
        return replace(batch, inputs=_FAMILY[self.family](self.settings, batch.inputs, uniform))

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.uniform,)

    @property
    def kind(self) -> Hashable:
        return self.settings, self.family

    def joined(self, others: Sequence[View], counts: Sequence[int], device: torch.device) -> View:
        uniform = [view.uniform for view in (self, *others) if isinstance(view, SiameseView)]
        wide = [to_device(u, device).expand(-1, count) for u, count in zip(uniform, counts, strict=True)]
        return replace(self, uniform=torch.cat(wide, dim=1))


def _color(s: SiameseAugmentation, images: Tensor, u: Tensor) -> Tensor:
    images = operations.brightness(images, (u[0] - 0.5) * s.brightness)
    images = operations.saturation(images, u[1] * s.saturation)
    return operations.contrast(images, u[2] + s.contrast)


def _whole(u: Tensor, low: int, high: int) -> Tensor:
    """Map uniform numbers in [0, 1) to whole numbers ``low .. high``."""
    return (u * (high - low + 1)).floor().clamp_max(high - low).long() + low


def _crop(s: SiameseAugmentation, images: Tensor, u: Tensor) -> Tensor:
    reach = [int(side * s.crop + 0.5) for side in images.shape[2:]]
    return operations.translate(images, _whole(u[0], -reach[0], reach[0]), _whole(u[1], -reach[1], reach[1]))


def _cutout(s: SiameseAugmentation, images: Tensor, u: Tensor) -> Tensor:
    height, width = images.shape[2:]
    size = int(height * s.cutout + 0.5), int(width * s.cutout + 0.5)
    top = _whole(u[0], 0, height - size[0] % 2) - size[0] // 2
    left = _whole(u[1], 0, width - size[1] % 2) - size[1] // 2
    return operations.cutout(images, top, left, size)


def _flip(s: SiameseAugmentation, images: Tensor, u: Tensor) -> Tensor:
    return operations.mirror(images, u[0] < 0.5)


def _scale(s: SiameseAugmentation, images: Tensor, u: Tensor) -> Tensor:
    factors = u * (s.scale - 1 / s.scale) + 1 / s.scale
    return operations.affine(images, operations.scaling(factors[0], factors[1]))


def _rotate(s: SiameseAugmentation, images: Tensor, u: Tensor) -> Tensor:
    return operations.affine(images, operations.rotation((u[0] - 0.5) * 2 * math.radians(s.rotate)))


_FAMILY: dict[str, Callable[[SiameseAugmentation, Tensor, Tensor], Tensor]] = {
    "color": _color,
    "crop": _crop,
    "cutout": _cutout,
    "flip": _flip,
    "scale": _scale,
    "rotate": _rotate,
}
_UNIFORMS = {"color": 3, "crop": 2, "cutout": 2, "flip": 1, "scale": 2, "rotate": 1}
