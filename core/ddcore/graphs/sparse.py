"""Sparse matrices in rows (CSR): made, cut, and multiplied."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor


def sparse(edges: Tensor, weights: Tensor, nodes: int) -> Tensor:
    """Return ``nodes x nodes`` weights, sparse (CSR).

    Args:
        edges: ``2 x E``, from the first row's nodes to the second's. Repeated ones add up.
        weights: ``E``.
        nodes: how many.
    """
    return as_csr(torch.sparse_coo_tensor(edges.flip(0), weights, (nodes, nodes), check_invariants=True).coalesce())


def product(matrix: Tensor, values: Tensor) -> Tensor:
    """Return ``matrix @ values``. Of a sparse matrix it is in that one's own precision."""
    if matrix.ndim == 3:
        return (matrix @ values.view(*matrix.shape[:2], -1)).flatten(0, 1)
    if matrix.layout == torch.strided:
        return matrix @ values
    with torch.autocast(values.device.type, enabled=False):
        made: Tensor = matrix @ values.to(matrix.dtype)
    return made


def block(matrix: Tensor, rows: Tensor, columns: Tensor | None = None, moved: Tensor | None = None) -> Tensor:
    """Return rows of a sparse matrix (CSR), ``n x N``.

    Args:
        matrix: ``N x N``.
        rows: indices, ``n``.
        columns: those that are kept, ``m``; the result is ``n x m``.
        moved: how far each row's columns move, ``n``; the result is ``n x n``.
    """
    starts, ends = matrix.crow_indices()[rows], matrix.crow_indices()[rows + 1]
    within, start = runs(starts, ends)
    row = torch.arange(len(rows), device=rows.device).repeat_interleave(ends - starts)
    column, values, width = matrix.col_indices()[within + start], matrix.values()[within + start], matrix.shape[1]
    if moved is not None:
        column, width = column + moved[row], len(rows)
    if columns is not None:
        place = torch.full((width,), -1, device=rows.device)
        place[columns] = torch.arange(len(columns), device=rows.device)
        inside = place[column] >= 0
        row, column, values, width = row[inside], place[column[inside]], values[inside], len(columns)
    size = (len(rows), width)
    return as_csr(torch.sparse_coo_tensor(torch.stack([row, column]), values, size, check_invariants=False).coalesce())


def runs(starts: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Return 0, 1, ... of each range, one range after the other, and each one's start."""
    counts = ends - starts
    firsts = counts.cumsum(0) - counts
    count = torch.arange(int(counts.sum()), device=starts.device)
    return count - firsts.repeat_interleave(counts), starts.repeat_interleave(counts)


def as_csr(matrix: Tensor) -> Tensor:
    """Return a matrix in rows."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        return matrix.to_sparse_csr()
