"""`LowResolution`: every image is stored with fewer pixels than it is shown with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcore.errors import SummaryFormatError
from ddcore.factorization import AsStored, StoredExamples
from ddcore.factorization.numbers import STORAGE
from ddcore.factorization.span import dequantise, quantise
from ddcore.images.spec import image_shape
from ddcore.parts import Batch, Spec
from ddcore.settings import require


@dataclass(frozen=True)
class LowResolution(AsStored):
    r"""Images of ``size`` rows, enlarged bilinearly to the data's size.

    What `AsStored` says holds. Stored values are pixels in [0, 1]; the parameters are clamped to it
    after every step. Real images are shrunk with an antialiasing filter.

    Attributes:
        size: rows of a stored image; its columns follow from the data's shape. At the data's own
            size nothing is enlarged.
        init: ``noise`` has mean .5 and standard deviation .25; ``glorot`` as `AsStored` says.
        storage: ``float32``, ``fp16`` or ``uint8``.

    Source: Kim et al. 2022 (arXiv:2205.14959) store tiles of lower resolution (`MultiFormation`).
    """

    size: int = 16
    name: ClassVar[str] = "low_resolution"
    modality: ClassVar[str | None] = "images"
    items: ClassVar[str] = "images"
    storages: ClassVar[tuple[str, ...]] = tuple(STORAGE)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(type(self.size) is int and 2 <= self.size <= 4096, f"size must lie in 2..4096, not {self.size}")
        require(not self.transform, "images of low resolution have no learned transform: transform=False")

    def item_shape(self, spec: Spec) -> tuple[int, ...]:
        channels, rows, columns = image_shape(spec)
        require(self.size <= rows, f"size must be at most the {rows} rows of the data, not {self.size}")
        return channels, self.size, max(1, round(self.size * columns / rows))

    def unit_tensors(self) -> frozenset[str]:
        return frozenset({"images"})

    def learning_rates(self) -> dict[str, float]:
        return super().learning_rates() | {"images": 0.02}

    def item_bytes(self, count: int, spec: Spec) -> int:
        return count * math.prod(self.item_shape(spec)) * STORAGE[self.storage].itemsize

    def chosen_values(self, inputs: Tensor, spec: Spec) -> Tensor:
        pixels = spec.normalisation.invert(inputs).clamp(0, 1)
        size = self.item_shape(spec)[1:]
        if size == spec.shape[1:]:
            return pixels
        return F.interpolate(pixels, size=size, mode="bilinear", antialias=True).clamp(0, 1)

    def noise(self, count: int, spec: Spec, random: torch.Generator, dtype: torch.dtype) -> Tensor:
        return super().noise(count, spec, random, dtype).div(4).add(0.5).clamp(0, 1)

    def examples(self, inputs: Tensor, owners: Tensor, labels: Tensor | None, spec: Spec) -> LowResolutionExamples:
        return LowResolutionExamples(self, inputs, owners, labels, spec)

    def restored(
        self, items: Tensor, owners: Tensor, labels: Tensor | None, spec: Spec, stored: Mapping[str, Tensor]
    ) -> LowResolutionExamples:
        pixels = dequantise(items) if self.storage == "uint8" else items.float()
        if not bool(((pixels >= 0) & (pixels <= 1)).all()):
            raise SummaryFormatError("the stored pixels do not lie in [0, 1]")
        return self.examples(pixels, owners, labels, spec)

    def decoder(self) -> dict[str, Any]:
        return super().decoder() | {"size": self.size}

    @classmethod
    def from_decoder(cls, settings: Mapping[str, Any]) -> LowResolution:
        if set(settings) != {"labels", "storage", "size"}:
            raise SummaryFormatError(f"{cls.name} records labels, storage and size, found {sorted(settings)[:5]}")
        return cls(labels=settings["labels"], storage=settings["storage"], size=settings["size"])


class LowResolutionExamples(StoredExamples):
    """Small images in [0, 1], sorted by class."""

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        small, spec = super().decode(indices, generator), self._spec
        pixels = small.inputs
        if pixels.shape[2:] != spec.shape[1:]:
            pixels = F.interpolate(pixels, size=spec.shape[1:], mode="bilinear")
        return Batch(spec.normalisation.apply(pixels, pixels.dtype), small.targets)

    def after_step(self, step: int) -> None:
        with torch.no_grad():
            self.values.clamp_(0, 1)

    def packed(self, inputs: Tensor, storage: str) -> dict[str, Tensor]:
        pixels = inputs.clamp(0, 1)
        return {"images": quantise(pixels) if storage == "uint8" else pixels.to(STORAGE[storage])}
