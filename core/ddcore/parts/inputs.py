"""What may stand where a tensor of examples stands: an object of a modality's own.

It is indexed, joined, moved and measured as a tensor ``n x ...`` is: ``len``, ``shape``, ``dtype``,
``device``, ``[indices]``, ``split``, ``to``, ``float``, ``detach``, ``flatten``, ``torch.cat`` and
``torch.isfinite``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor


class StandIn(ABC):
    """Examples that are no tensor, and stand where one stands.

    Attributes:
        connected: whether what a network says of one example depends on others, as on a graph's
            nodes.
    """

    connected: ClassVar[bool] = False

    @abstractmethod
    def tensors(self) -> tuple[Tensor, ...]:
        """Return what tells these examples from others, on the CPU."""

    @abstractmethod
    def to(self, *where: Any, **kwargs: Any) -> Self:
        """Return the same examples on another device, or of another type."""

    @abstractmethod
    def flatten(self, start: int = 1, end: int = -1) -> Tensor:
        """Return numbers of each example alone, ``n x d``."""

    @classmethod
    @abstractmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return all examples of several lots."""

    @property
    def ndim(self) -> int:
        return 2

    def float(self) -> Self:
        return self.to(torch.float32)

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if function is torch.cat:
            return cls.joined(args[0])
        if function is torch.isfinite:
            return torch.cat([torch.isfinite(t).flatten() for t in args[0].tensors() if t.is_floating_point()])
        return NotImplemented


def tensors_of(inputs: object) -> tuple[Tensor, ...]:
    """Return the tensors that examples consist of, on the CPU. They tell equal examples apart."""
    if isinstance(inputs, StandIn):
        return inputs.tensors()
    assert isinstance(inputs, Tensor)
    return (inputs,)


def are_connected(inputs: object) -> bool:
    """Whether what a network says of one example depends on others, as on a graph's nodes.

    Such examples are read together: a pass over a few costs as much as one over all.
    """
    return isinstance(inputs, StandIn) and inputs.connected
