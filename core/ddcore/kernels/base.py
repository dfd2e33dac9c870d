"""What a kernel is: an embedding of examples, and a product of embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

if TYPE_CHECKING:
    from ddcore.networks import Network


class Kernel(ABC):
    """Settings of a kernel.

    Attributes:
        of_networks: whether it is a kernel of given networks, rather than of networks of infinite width.
    """

    name: ClassVar[str]
    of_networks: ClassVar[bool]

    @abstractmethod
    def embed(self, inputs: Tensor, networks: Sequence[Network]) -> Tensor:
        """Return what the product needs of each example, ``n x ...`` in float64; differentiable."""

    @abstractmethod
    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the kernel between two embedded sets, ``n x m``; differentiable."""
