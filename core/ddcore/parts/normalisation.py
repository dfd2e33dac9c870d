"""What a normalisation is: an invertible map from what data hold to what networks see.

Every summary records it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor


def as_unit_float(values: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return numbers as floats. Bytes 0..255 become 0..1."""
    return values.to(dtype).div(255.0) if values.dtype == torch.uint8 else values.to(dtype)


class Normalisation(ABC):
    """An invertible map, fitted once on training data."""

    name: ClassVar[str]

    def apply(self, values: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Map what data hold, ``n x ...``, to normalised inputs of the same shape.

        Bytes 0..255 count as floats 0..1.
        """
        return self._forward(as_unit_float(values, dtype))

    def invert(self, inputs: Tensor) -> Tensor:
        """Map normalised inputs back to what data hold. Of images, values may leave [0, 1]."""
        return self._inverse(inputs)

    @abstractmethod
    def _forward(self, values: Tensor) -> Tensor: ...

    @abstractmethod
    def _inverse(self, inputs: Tensor) -> Tensor: ...

    @property
    def exact(self) -> bool:
        """Whether ``apply`` undoes ``invert`` for any normalised input.

        If not, it does so only for normalised examples of the data.
        """
        return True

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors that rebuild this map together with its settings."""
        return {}

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON data."""

    @abstractmethod
    def same_as(self, other: Normalisation) -> bool:
        """Whether both are the same map. Last digits, in which machines differ, do not count."""


@dataclass(frozen=True)
class Identity(Normalisation):
    """The map that changes nothing: networks see what the data hold."""

    name: ClassVar[str] = "none"

    def _forward(self, values: Tensor) -> Tensor:
        return values

    def _inverse(self, inputs: Tensor) -> Tensor:
        return inputs

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}

    def same_as(self, other: Normalisation) -> bool:
        return isinstance(other, Identity)
