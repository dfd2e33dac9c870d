"""What NNI needs of a space: the values of its choices, and a network for each combination."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

Choices = Mapping[str, Any]
Values = Mapping[str, Sequence[Any]]


class Grid(ABC):
    """Choices that are independent of each other, and the network of every combination."""

    @abstractmethod
    def values(self) -> Values:
        """Return the values that each choice can take; all combinations are architectures."""

    @abstractmethod
    def build(self, choices: Choices, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Return a new module; its weights come from torch's default generator."""
