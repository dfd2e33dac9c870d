"""`Pixels`: every image is its own array of free parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.errors import UnsupportedError
from ddcore.factorization import AsStored, StoredExamples
from ddcore.factorization.numbers import STORAGE
from ddcore.factorization.span import UNIT, Span, dequantise, fitting_span, pack_span, quantise, unpack_span
from ddcore.parts import Spec
from ddcore.settings import require

CLIP_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Pixels(AsStored):
    """Images as free parameters, ``ipc`` per class.

    What `AsStored` says holds. Numbers may also be stored as bytes.

    Attributes:
        storage: ``float32`` or ``fp16`` normalised values, or ``uint8`` pixels. Those are rounded
            when the run ends, and have a span of their own where they leave [0, 1].
        clip: whether pixels are kept in [0, 1], after every step and at the start, as real images
            are. Their bytes then need no span.
    """

    clip: bool = False
    name: ClassVar[str] = "pixels"
    modality: ClassVar[str | None] = "images"
    items: ClassVar[str] = "images"
    storages: ClassVar[tuple[str, ...]] = tuple(STORAGE)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(not (self.clip and self.transform), "pixels behind a learned transform cannot be clipped: clip=False")

    def clipped(self) -> Pixels:
        return self if self.transform else replace(self, clip=True)

    def item_bytes(self, count: int, spec: Spec) -> int:
        unit_span = self.clip and self.storage == "uint8"
        return count * math.prod(spec.shape) if unit_span else super().item_bytes(count, spec)

    def examples(self, inputs: Tensor, owners: Tensor, labels: Tensor | None, spec: Spec) -> PixelExamples:
        return PixelExamples(self, inputs, owners, labels, spec)

    def optional(self) -> set[str]:
        return {"span"} if self.storage == "uint8" else set()

    def restored(
        self, items: Tensor, owners: Tensor, labels: Tensor | None, spec: Spec, stored: Mapping[str, Tensor]
    ) -> PixelExamples:
        span, inputs = unpack_span(stored.get("span")), items.float()
        if self.storage == "uint8":
            inputs = spec.normalisation.apply(dequantise(items, span))
        settings = self.without_transform()
        assert isinstance(settings, Pixels)
        return PixelExamples(settings, inputs, owners, labels, spec, span)


class PixelExamples(StoredExamples):
    """Free pixels, sorted by class."""

    def __init__(
        self,
        settings: Pixels,
        inputs: Tensor,
        owners: Tensor,
        labels: Tensor | None,
        spec: Spec,
        span: Span = UNIT,
    ) -> None:
        super().__init__(settings, inputs, owners, labels, spec)
        self._clip = settings.clip
        self._span = span

    def after_step(self, step: int) -> None:
        normalisation, images = self._spec.normalisation, self.values
        if not self._clip or not normalisation.exact:
            return
        with torch.no_grad():
            pixels = normalisation.invert(images)
            inside = pixels.clamp(0, 1)
            # Pixels that are inside, up to rounding, keep all their digits.
            outside = (inside - pixels).abs() > CLIP_TOLERANCE
            images.copy_(torch.where(outside, normalisation.apply(inside, pixels.dtype), images))

    def packed(self, inputs: Tensor, storage: str) -> dict[str, Tensor]:
        if storage != "uint8":
            return super().packed(inputs, storage)
        if not self._spec.normalisation.exact:
            raise UnsupportedError("'zca-unit' forgets the norm of an example: store float32 or fp16 instead of uint8")
        pixels = self._spec.normalisation.invert(inputs)
        span = UNIT if self._clip else fitting_span(pixels, self._span)
        stored = {"images": quantise(pixels, span)}
        return stored if span == UNIT else stored | {"span": pack_span(span)}
