"""From what data hold to what networks see, and back: invertible, recorded with every summary."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor


def as_unit_float(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return ``pixels`` as floats; bytes 0..255 become 0..1."""
    return pixels.to(dtype).div(255.0) if pixels.dtype == torch.uint8 else pixels.to(dtype)


class Normalisation(ABC):
    """An invertible map, fitted once on training data. ``apply`` takes bytes or floats in [0, 1]."""

    name: ClassVar[str]

    def apply(self, pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Map pixels ``n x channels x height x width`` to normalised inputs of the same shape."""
        return self._forward(as_unit_float(pixels, dtype))

    def invert(self, inputs: Tensor) -> Tensor:
        """Map normalised inputs back to pixels; values may lie outside [0, 1]."""
        return self._inverse(inputs)

    @abstractmethod
    def _forward(self, pixels: Tensor) -> Tensor: ...

    @abstractmethod
    def _inverse(self, inputs: Tensor) -> Tensor: ...

    @property
    def exact(self) -> bool:
        """Whether ``apply`` undoes ``invert`` for any normalised input, not only for images of the data."""
        return True

    def tensors(self) -> dict[str, Tensor]:
        """Return what must be stored beside the settings to rebuild this map."""
        return {}

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON data."""

    @abstractmethod
    def same_as(self, other: Normalisation) -> bool:
        """Whether both are the same map, up to the last digits in which two machines may differ."""


@dataclass(frozen=True)
class Identity(Normalisation):
    """Networks see the pixels."""

    name: ClassVar[str] = "none"

    def _forward(self, pixels: Tensor) -> Tensor:
        return pixels

    def _inverse(self, inputs: Tensor) -> Tensor:
        return inputs

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}

    def same_as(self, other: Normalisation) -> bool:
        return isinstance(other, Identity)
