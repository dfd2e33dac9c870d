"""A batch of examples, real or synthetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ddcore.ground.devices import to_device


@dataclass(frozen=True)
class Batch:
    """Examples in the space that networks see (normalised).

    Attributes:
        inputs: ``n x ...``; for images ``n x channels x height x width``.
        targets: class ids, ``n`` (int64), or soft labels, ``n x num_classes``.
        weights: one weight per example, or None for all equal.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None = None

    def detach(self) -> Batch:
        """Return the same examples without a graph."""
        return replace(self, inputs=self.inputs.detach(), targets=self.targets.detach())


def concatenated(batches: Sequence[Batch]) -> Batch:
    """Return one batch of several, in order."""
    if len(batches) == 1:
        return batches[0]
    weights = [b.weights for b in batches if b.weights is not None]
    return Batch(
        torch.cat([b.inputs for b in batches]),
        torch.cat([b.targets for b in batches]),
        torch.cat(weights) if weights else None,
    )


def taken(batch: Batch, indices: Tensor) -> Batch:
    """Return the examples of ``batch`` at ``indices`` (int64, on the CPU)."""
    where = to_device(indices, batch.inputs.device)
    return Batch(batch.inputs[where], batch.targets[where], None if batch.weights is None else batch.weights[where])


def class_shares(members: Mapping[int, Tensor], sizes: Mapping[int, int]) -> Tensor:
    """Return the weight of each example in a mean over classes: one over its class's size and the number of classes."""
    shares = [torch.full((len(i),), 1 / (len(sizes) * sizes[c]), dtype=torch.float64) for c, i in members.items()]
    return torch.cat(shares)


def shared_out(total: int, classes: Sequence[int], generator: torch.Generator) -> dict[int, int]:
    """Return how many of ``total`` examples each class gives: as even as can be, the remainder to classes at random."""
    each, left = divmod(total, len(classes))
    lucky = {classes[i] for i in torch.randperm(len(classes), generator=generator)[:left].tolist()}
    return {c: each + (c in lucky) for c in classes}


def chunks(members: Mapping[int, Tensor], size: int) -> Iterator[dict[int, Tensor]]:
    """Cut the indices of some classes, in order, into chunks of at most ``size``: class id -> indices."""
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
