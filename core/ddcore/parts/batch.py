"""`Batch`: some examples, real or synthetic, as networks see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from ddcore.ground.devices import to_device

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Batch:
    """Normalised examples.

    Attributes:
        inputs: ``n x ...``. Images are ``n x channels x height x width``.
        targets: class ids, ``n``, int64; or soft labels or numbers, ``n x outputs``.
        weights: one per example. None: all weigh the same.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None = None

    def detach(self) -> Batch:
        """Return the same examples without a graph."""
        return replace(self, inputs=self.inputs.detach(), targets=self.targets.detach())


def concatenated(batches: Sequence[Batch]) -> Batch:
    """Return the examples of several batches, in order, as one batch."""
    if len(batches) == 1:
        return batches[0]
    weights = [b.weights for b in batches if b.weights is not None]
    return Batch(
        torch.cat([b.inputs for b in batches]),
        torch.cat([b.targets for b in batches]),
        torch.cat(weights) if weights else None,
    )


def split_batch(batch: Batch, sizes: Sequence[int]) -> list[Batch]:
    """Cut a batch of tensors into batches of some sizes."""
    lengths = list(sizes)
    weights = [None] * len(lengths) if batch.weights is None else batch.weights.split(lengths)
    return [
        Batch(*parts) for parts in zip(batch.inputs.split(lengths), batch.targets.split(lengths), weights, strict=True)
    ]


def taken(batch: Batch, indices: Tensor) -> Batch:
    """Return the examples of ``batch`` at ``indices`` (int64, on the CPU)."""
    where = to_device(indices, batch.inputs.device)
    return Batch(batch.inputs[where], batch.targets[where], None if batch.weights is None else batch.weights[where])


def class_shares(
    members: Mapping[int, Tensor],
    sizes: Mapping[int, int],
    dtype: torch.dtype = torch.float64,
    device: torch.device = CPU,
) -> Tensor:
    r"""Return the weight of each example in a mean in which all classes weigh the same.

    It is :math:`1 / (C n_c)` for an example of class c. Equal weights are sent to a device once.

    Args:
        members: indices of examples per class id. Each of them gets a weight.
        sizes: the number :math:`n_c` of all examples per class id, for C classes.
        dtype: of the weights.
        device: where they are wanted.
    """
    return group_shares(members, [sizes], dtype, device)[0]


def group_shares(
    members: Mapping[int, Tensor], groups: Sequence[Mapping[int, int]], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return the matrix ``groups x n`` whose rows are `class_shares` of groups, zero elsewhere.

    Args:
        members: as in `class_shares`, of all groups. They share no class.
        groups: the number of all examples per class id, for each group.
        dtype: of the weights.
        device: where they are wanted.
    """
    row_of = {c: row for row, sizes in enumerate(groups) for c in sizes}
    blocks = []
    for c, indices in members.items():
        sizes = groups[row_of[c]]
        blocks.append((row_of[c], len(indices), 1 / (len(sizes) * sizes[c])))
    return _block_rows(tuple(blocks), len(groups), dtype, device)


@lru_cache(maxsize=256)
def _block_rows(
    blocks: tuple[tuple[int, int, float], ...], rows: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return a matrix of zeros but for blocks: each has a row, a length and a number."""
    with torch.inference_mode(False):
        matrix = torch.zeros(rows, sum(length for _, length, _ in blocks), dtype=torch.float64)
        start = 0
        for row, length, number in blocks:
            matrix[row, start : start + length] = number
            start += length
        return to_device(matrix.to(dtype), device)


def shared_out(total: int, classes: Sequence[int], generator: torch.Generator) -> dict[int, int]:
    """Return how many of ``total`` examples each class gives.

    The numbers differ by one at most. The classes that give one more are drawn at random.
    """
    each, left = divmod(total, len(classes))
    lucky = {classes[i] for i in torch.randperm(len(classes), generator=generator)[:left].tolist()}
    return {c: each + (c in lucky) for c in classes}


def chunks(members: Mapping[int, Tensor], size: int) -> Iterator[dict[int, Tensor]]:
    """Cut indices per class id into chunks of at most ``size`` indices. The order stays."""
    chunk: dict[int, Tensor] = {}
    room = size
    for class_id, indices in members.items():
        while len(indices):
            chunk[class_id], indices = indices[:room], indices[room:]
            room -= len(chunk[class_id])
            if room == 0:
                yield chunk
                chunk, room = {}, size
    if chunk:
        yield chunk
