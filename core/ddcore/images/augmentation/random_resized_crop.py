"""A random part of each image, resampled to the size of the whole."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.ground.devices import to_device
from ddcore.images.augmentation import operations
from ddcore.images.spec import ImageSpec
from ddcore.parts import Augmentation, Batch, NoAugmentation, Spec, View
from ddcore.settings import require


@dataclass(frozen=True)
class RandomResizedCrop(Augmentation):
    r"""Crop a rectangle of random area and aspect, resample it to full size, perhaps mirror it.

    The area is a share of the image, uniform in ``scale``. The aspect is log-uniform in ``ratio``.
    A rectangle that would not fit is cut off along that side. Sampling is bilinear.

    The smallest area may change with the progress :math:`p \in [0, 1]` of a run: a curriculum,
    from whole images to small crops. It begins at :math:`s_0`, ``scale[0]``. Up to :math:`p = m`,
    ``ends_by``, it is

    .. math:: s(p) = s_1 + \tfrac12 (s_0 - s_1)(1 + \cos(\pi p / m))

    and :math:`s_1`, ``ends_at``, from there on.

    Attributes:
        scale: smallest and largest area, as shares.
        ratio: smallest and largest width divided by height.
        mirror: probability of mirroring left to right; left out where mirrored images may be of
            another class.
        ends_at: :math:`s_1`. None: no curriculum.
        ends_by: :math:`m`.

    Source: Szegedy et al. 2015 (arXiv:1409.4842). The curriculum is that of Yin & Shen 2023
    (arXiv:2311.18838).
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    mirror: float = 0.5
    ends_at: float | None = None
    ends_by: float = 1.0
    modality: ClassVar[str | None] = "images"

    def __post_init__(self) -> None:
        low, high = self.scale
        require(0 < low <= high <= 1, f"scale must lie in (0, 1], its smaller share first, not {self.scale}")
        require(
            0 < self.ratio[0] <= self.ratio[1], f"ratio must be above 0, its smaller number first, not {self.ratio}"
        )
        require(0 <= self.mirror <= 1, f"a probability lies in [0, 1], not {self.mirror}")
        require(
            self.ends_at is None or 0 < self.ends_at <= high, f"ends_at is a share, up to {high}, not {self.ends_at}"
        )
        require(0 < self.ends_by <= 1, f"ends_by is a share of the run, in (0, 1], not {self.ends_by}")

    def suited_to(self, spec: Spec) -> Augmentation:
        if not isinstance(spec, ImageSpec):
            return NoAugmentation()
        return self if spec.mirror else replace(self, mirror=0.0)

    def at(self, progress: float) -> RandomResizedCrop:
        if self.ends_at is None:
            return self
        low, share = self.scale[0], min(progress / self.ends_by, 1.0)
        least = self.ends_at + (low - self.ends_at) * (1 + math.cos(math.pi * share)) / 2
        return replace(self, scale=(least, self.scale[1]), ends_at=None)

    def draw(self, generator: torch.Generator, count: int | None = None) -> View:
        return _Crop(self, torch.rand(5, count or 1, generator=generator, dtype=torch.float64))


@dataclass(frozen=True)
class _Crop(View):
    """One draw: uniform numbers for area, aspect, place along both sides, and mirroring."""

    settings: RandomResizedCrop
    uniform: Tensor

    def __call__(self, batch: Batch) -> Batch:
        there = to_device(self.uniform, batch.inputs.device)
        return replace(
            batch, inputs=operations.affine(batch.inputs, self.matrices(there, batch.inputs.shape), "border")
        )

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.uniform,)

    def matrices(self, uniform: Tensor, shape: torch.Size) -> Tensor:
        """Return ``n x 2 x 3`` maps from output to input coordinates, for images of ``shape``."""
        s, square = self.settings, shape[3] / shape[2]
        area, aspect, down, right, flip = uniform
        shares = s.scale[0] + area * (s.scale[1] - s.scale[0])
        ratios = torch.exp(math.log(s.ratio[0]) + aspect * (math.log(s.ratio[1]) - math.log(s.ratio[0]))) / square
        width, height = ((shares * r).sqrt().clamp_max(1.0) for r in (ratios, 1 / ratios))
        sign = 1 - 2 * (flip < s.mirror).to(uniform.dtype)
        rows = [
            sign * width,
            0 * width,
            (2 * right - 1) * (1 - width),
            0 * width,
            height,
            (2 * down - 1) * (1 - height),
        ]
        return torch.stack(rows, dim=1).view(-1, 2, 3)
