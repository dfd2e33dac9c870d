"""What a kernel is: an embedding of examples, and a product of embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from ddcore.parts.network import Network

NUMBERS_AT_ONCE = 2**22
"""Of one intermediate tensor of a product; about ten live at a time."""


class Kernel(ABC):
    """Settings of a kernel.

    Attributes:
        of_networks: whether it is a kernel of given networks, rather than of networks of infinite width.
    """

    name: ClassVar[str]
    of_networks: ClassVar[bool]

    def fitting(self, support: int, shape: tuple[int, ...]) -> int:
        """Return of how many examples of ``shape`` the product with ``support`` others takes some hundred megabytes at most."""
        return max(1, NUMBERS_AT_ONCE // (support * self.numbers_per_pair(shape)))

    def numbers_per_pair(self, shape: tuple[int, ...]) -> int:
        """Return how many numbers the product holds for a pair of examples at a time."""
        return 1

    @abstractmethod
    def embed(self, inputs: Tensor, networks: Sequence[Network]) -> Tensor:
        """Return what the product needs of each example, ``n x ...`` in float64; differentiable."""

    @abstractmethod
    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the kernel between two embedded sets, ``n x m``; differentiable."""
