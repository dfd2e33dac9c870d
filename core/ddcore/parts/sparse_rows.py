"""`SparseRows`: examples that are rows of mostly zeros, such as what users have clicked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcore.errors import UnsupportedError
from ddcore.parts.inputs import StandIn

DENSE_AT_ONCE = 512
"""Most sparse rows that are written out with their zeros at a time."""


@dataclass(frozen=True, eq=False)
class SparseRows(StandIn):
    """Rows ``n x width`` of which only the numbers that are not zero are kept.

    Attributes:
        starts: where each row's numbers begin, and where the last one's end, ``n + 1``, int64.
        columns: of each kept number, int64. Within a row no column comes twice.
        values: the kept numbers, floats.
        width: number of columns.
    """

    starts: Tensor
    columns: Tensor
    values: Tensor
    width: int

    @classmethod
    def of_pairs(cls, rows: Tensor, columns: Tensor, size: tuple[int, int], values: Tensor | None = None) -> SparseRows:
        """Return rows from the places of their numbers.

        Args:
            rows: of each number, int64.
            columns: of each number, int64. No place comes twice.
            size: numbers of rows and columns.
            values: the numbers. None: all are 1.
        """
        order = (rows * size[1] + columns).argsort()
        values = torch.ones(len(rows)) if values is None else values
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(rows, minlength=size[0]).cumsum(0)])
        return cls(starts, columns[order], values[order], size[1])

    @classmethod
    def of_dense(cls, dense: Tensor) -> SparseRows:
        """Return the same rows without their zeros. They are on the CPU."""
        rows, columns = dense.nonzero(as_tuple=True)
        return cls.of_pairs(rows.cpu(), columns.cpu(), (len(dense), dense.shape[1]), dense[rows, columns].cpu())

    def as_inputs(self) -> Tensor:
        """Return these rows as what a batch or a split takes."""
        return cast(Tensor, self)

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self), self.width))

    @property
    def dtype(self) -> torch.dtype:
        return self.values.dtype

    @property
    def device(self) -> torch.device:
        return self.values.device

    def __len__(self) -> int:
        return len(self.starts) - 1

    def sizes(self) -> Tensor:
        """Return how many numbers each row keeps, ``n``."""
        return self.starts.diff()

    def rows(self) -> Tensor:
        """Return the row of each kept number."""
        return torch.arange(len(self), device=self.device).repeat_interleave(self.sizes())

    def __getitem__(self, where: Tensor | slice) -> Self:
        if not isinstance(where, Tensor | slice):
            raise UnsupportedError("sparse rows are taken by a slice or a tensor of indices")
        chosen = torch.arange(len(self), device=self.device)[where]
        sizes = self.sizes()[chosen]
        ends = sizes.cumsum(0)
        starts = torch.cat([ends.new_zeros(1), ends])
        shift = (self.starts[chosen] - starts[:-1]).repeat_interleave(sizes)
        places = torch.arange(int(starts[-1]), device=self.device) + shift
        return replace(self, starts=starts, columns=self.columns[places], values=self.values[places])

    def split(self, size: int) -> tuple[Self, ...]:
        """Return the rows in lots of at most ``size``."""
        return tuple(self[i : i + size] for i in range(0, max(len(self), 1), size))

    def to(self, *where: Any, **kwargs: Any) -> Self:
        values = self.values.to(*where, **kwargs)
        if values is self.values:
            return self
        starts, columns = self.starts.to(values.device), self.columns.to(values.device)
        return replace(self, starts=starts, columns=columns, values=values)

    def double(self) -> Self:
        return self.to(torch.float64)

    def cpu(self) -> Self:
        return self.to("cpu")

    def pin_memory(self) -> Self:
        return replace(self, values=self.values.pin_memory())

    def detach(self) -> Self:
        return replace(self, values=self.values.detach())

    def flatten(self, start: int = 1, end: int = -1) -> Tensor:
        """Return the rows with their zeros, ``n x width``."""
        dense = torch.zeros(len(self), self.width, dtype=self.dtype, device=self.device)
        return dense.index_put((self.rows(), self.columns), self.values)

    def tensors(self) -> tuple[Tensor, ...]:
        return self.starts.cpu(), self.columns.cpu(), self.values.detach().cpu()

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        ends = torch.tensor([0, *(int(part.starts[-1]) for part in parts)]).cumsum(0)[:-1].tolist()
        starts = [part.starts[:-1] + end for part, end in zip(parts, ends, strict=True)]
        last = parts[-1].starts[-1:] + ends[-1]
        columns, values = torch.cat([part.columns for part in parts]), torch.cat([part.values for part in parts])
        return replace(parts[0], starts=torch.cat([*starts, last]), columns=columns, values=values)

    def times(self, matrix: Tensor) -> Tensor:
        """Return the product with a ``width x m`` matrix, ``n x m``. It is differentiable by it."""
        weights = self.values.to(matrix.dtype)
        return F.embedding_bag(self.columns, matrix, self.starts[:-1], mode="sum", per_sample_weights=weights)

    def sums(self, values: Tensor | None = None) -> Tensor:
        """Return the sum of each row, or of other numbers at the same places, ``n``."""
        numbers = self.values if values is None else values
        return torch.zeros(len(self), dtype=numbers.dtype, device=self.device).index_add(0, self.rows(), numbers)

    def column_sums(self) -> Tensor:
        """Return the sum of each column, ``width``."""
        return torch.zeros(self.width, dtype=self.dtype, device=self.device).index_add(0, self.columns, self.values)


def inner_products(a: Tensor | SparseRows, b: Tensor | SparseRows) -> Tensor:
    """Return the inner product of each pair of rows, ``n x m``.

    Both are ``n x d``, dense or sparse. It is differentiable by dense rows. Sparse ones never
    become dense together: where both are sparse, few at a time do.
    """
    if isinstance(a, SparseRows) and isinstance(b, SparseRows):
        return torch.cat([a.times(part.flatten().T.contiguous()) for part in b.split(DENSE_AT_ONCE)], dim=1)
    if isinstance(a, SparseRows):
        return a.times(b.T.contiguous())  # type: ignore[union-attr]
    if isinstance(b, SparseRows):
        return b.times(a.T.contiguous()).T
    return a @ b.T


def squared_norms(rows: Tensor | SparseRows) -> Tensor:
    """Return the squared length of each row, ``n``."""
    if isinstance(rows, SparseRows):
        return rows.sums(rows.values.square())
    return rows.square().sum(dim=1)


def as_dense(rows: object) -> Tensor:
    """Return rows with their zeros. A tensor stays as it is."""
    if isinstance(rows, SparseRows):
        return rows.flatten()
    assert isinstance(rows, Tensor)
    return rows


def as_sparse(rows: object) -> SparseRows:
    """Return rows without their zeros, on the CPU if they had them."""
    if isinstance(rows, SparseRows):
        return rows
    assert isinstance(rows, Tensor)
    return SparseRows.of_dense(rows)
