"""Images are rolled: what leaves at one side comes in at the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from ddcore.errors import UnsupportedError
from ddcore.images.spec import ImageSpec
from ddcore.parts import Augmentation, Batch, NoAugmentation, Spec, View
from ddcore.settings import require


@dataclass(frozen=True)
class RandomRoll(Augmentation):
    """Roll all images of a batch by the same number of pixels along each side, 0 to ``most``.

    Source: the jitter of DeepInversion (Yin et al. 2020, arXiv:1912.08795).
    """

    most: int = 32
    modality: ClassVar[str | None] = "images"

    def __post_init__(self) -> None:
        require(type(self.most) is int and self.most >= 0, f"most is a number of pixels, not {self.most!r}")

    def suited_to(self, spec: Spec) -> Augmentation:
        return self if isinstance(spec, ImageSpec) else NoAugmentation()

    def draw(self, generator: torch.Generator, count: int | None = None) -> View:
        if count is not None:
            raise UnsupportedError("RandomRoll has one draw for a whole batch: use it where examples share theirs")
        down, right = torch.randint(self.most + 1, (2,), generator=generator).tolist()
        return _Rolled((down, right))


@dataclass(frozen=True)
class _Rolled(View):
    by: tuple[int, int]

    def __call__(self, batch: Batch) -> Batch:
        return replace(batch, inputs=batch.inputs.roll(self.by, dims=(2, 3)))
