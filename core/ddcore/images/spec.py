"""What may be said of a dataset of images in public."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.parts import Spec
from ddcore.settings import require


@dataclass(frozen=True)
class ImageSpec(Spec):
    """Declared facts of a dataset of images.

    Attributes:
        shape: channels, height and width.
        mirror: whether an image keeps its class when flipped left to right (not so for digits).
    """

    mirror: bool = True
    modality: ClassVar[str] = "images"

    def check_inputs(self, inputs: Tensor, title: str) -> None:
        check_images(inputs)

    def within_range(self, values: Tensor) -> Tensor:
        return values.clamp(0, 1)

    def example_bytes(self) -> int:
        return math.prod(self.shape)

    def mirrored(self, inputs: Tensor) -> Tensor | None:
        return inputs.flip(-1) if self.mirror else None

    def united(self, specs: Sequence[Spec]) -> Spec:
        mirror = all(isinstance(spec, ImageSpec) and spec.mirror for spec in specs)
        return replace(super().united(specs), mirror=mirror)  # type: ignore[call-arg]

    def identity(self) -> tuple[object, ...]:
        return (*super().identity(), self.mirror)

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "mirror": self.mirror}


def check_images(inputs: Tensor) -> None:
    """Raise `InputDataError` unless these are images: bytes, or floats in [0, 1]."""
    if inputs.ndim != 4:
        raise InputDataError(f"images must be n x channels x height x width, not of shape {tuple(inputs.shape)}")
    if inputs.dtype == torch.uint8:
        return
    if not inputs.dtype.is_floating_point:
        raise InputDataError(f"pixels must be uint8 or floats in [0, 1], not {inputs.dtype}")
    if not bool(torch.isfinite(inputs).all()):
        raise InputDataError("pixels hold NaN or infinity: clean the data first")
    if len(inputs) and (float(inputs.min()) < 0 or float(inputs.max()) > 1):
        raise InputDataError(
            f"float pixels must lie in [0, 1], these reach from {float(inputs.min()):.3g} to {float(inputs.max()):.3g}: "
            "rescale them, or pass uint8"
        )


def image_shape(spec: Spec) -> tuple[int, int, int]:
    """Return channels, height and width, or raise `SettingsError`: the data are no images."""
    require(len(spec.shape) == 3, f"examples of shape {spec.shape} are no images (channels, height, width)")
    channels, height, width = spec.shape
    return channels, height, width
