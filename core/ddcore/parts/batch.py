"""`Batch`: some examples, real or synthetic, as networks see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ddcore.ground.devices import to_device


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


def taken(batch: Batch, indices: Tensor) -> Batch:
    """Return the examples of ``batch`` at ``indices`` (int64, on the CPU)."""
    where = to_device(indices, batch.inputs.device)
    return Batch(batch.inputs[where], batch.targets[where], None if batch.weights is None else batch.weights[where])


def class_shares(members: Mapping[int, Tensor], sizes: Mapping[int, int]) -> Tensor:
    r"""Return the weight of each example in a mean in which all classes weigh the same.

    It is :math:`1 / (C n_c)` for an example of class c.

    Args:
        members: indices of examples per class id. Each of them gets a weight.
        sizes: the number :math:`n_c` of all examples per class id, for C classes.
    """
    shares = [torch.full((len(i),), 1 / (len(sizes) * sizes[c]), dtype=torch.float64) for c, i in members.items()]
    return torch.cat(shares)


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
