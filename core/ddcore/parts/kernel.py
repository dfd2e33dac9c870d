"""What a kernel is: an embedding of examples, and a product of embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from ddcore.parts.network import Network

NUMBERS_AT_ONCE = 2**22
"""Numbers in one intermediate tensor of a product. About ten such tensors live at a time."""


class Kernel(ABC):
    """Settings of a kernel: a similarity of examples.

    Attributes:
        of_networks: True: it is computed with given networks. False: it is that of networks of
            infinite width, and none are given.
    """

    name: ClassVar[str]
    of_networks: ClassVar[bool]

    def fitting(self, support: int, shape: tuple[int, ...], outputs: int = 1) -> int:
        """Return how many examples of ``shape`` to multiply with ``support`` others at a time.

        The product of so many, or what is predicted of them, takes some hundred megabytes at most.

        Args:
            support: number of the others.
            shape: of one example.
            outputs: numbers that are predicted of each example.
        """
        return max(1, NUMBERS_AT_ONCE // max(support * self.numbers_per_pair(shape), outputs))

    def numbers_per_pair(self, shape: tuple[int, ...]) -> int:
        """Return how many numbers an intermediate tensor of the product has for each pair."""
        return 1

    @abstractmethod
    def embed(self, inputs: Tensor, networks: Sequence[Network]) -> Tensor:
        """Return the embedded examples, ``n x ...`` in float64. It is differentiable."""

    @abstractmethod
    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the kernel of each pair of embedded examples, ``n x m``. It is differentiable."""
