"""Examples made of stored items, each of which belongs to one class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.errors import SummaryFormatError
from ddcore.labels.class_ids import pack_ids, unpack_ids
from ddcore.parts import Examples


class OwnedExamples(Examples):
    """Stored items, sorted by class. Item ``i`` gives examples ``i * each .. (i + 1) * each - 1``.

    Args:
        owners: class id of every item, ascending.
        num_classes: size of the label space.
        each: examples per item.
    """

    draws_when_decoded: ClassVar[bool] = False

    def __init__(self, owners: Tensor, num_classes: int, each: int = 1) -> None:
        super().__init__()
        self.register_buffer("owners", owners)
        self._num_classes = num_classes
        ids, sizes = owners.unique_consecutive(return_counts=True)
        parts = torch.arange(len(owners) * each).split((sizes * each).tolist())
        self._members: dict[int, Tensor] = dict(zip(ids.tolist(), parts, strict=True))
        self.counts = {c: len(members) for c, members in self._members.items()}

    def indices_of(self, class_id: int) -> Tensor:
        return self._members[class_id]

    def packed_owners(self) -> Tensor:
        """Return the class ids as a summary stores them."""
        return pack_ids(self.get_buffer("owners").cpu(), self._num_classes)


def owners_of(counts: Mapping[int, int]) -> Tensor:
    """Return the class id of every item, given the number of items per class."""
    return torch.tensor([c for c, n in counts.items() for _ in range(n)])


def stored_items(
    stored: Mapping[str, Tensor], name: str, shape: tuple[int, ...], dtype: torch.dtype, num_classes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the items ``stored[name]`` and their class ids, sorted by class.

    The third tensor is the order that sorts what is stored.

    Raises:
        SummaryFormatError: items are not ``n x shape`` of ``dtype``, or class ids do not fit them.
    """
    items = stored[name]
    n = len(items) if items.ndim else 0
    if tuple(items.shape[1:]) != shape or items.dtype != dtype or n == 0:
        raise SummaryFormatError(f"{name} must be n x {shape} of {dtype}, found {tuple(items.shape)} of {items.dtype}")
    owners, order = stored_owners(stored, n, num_classes)
    return items[order], owners, order


def stored_owners(stored: Mapping[str, Tensor], count: int, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return the class ids of ``count`` items, ascending, and the order that sorts the items."""
    owners = unpack_ids(stored["classes"], count, num_classes)
    order = owners.argsort(stable=True)
    return owners[order], order
