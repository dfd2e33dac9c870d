"""A batch of examples, real or synthetic."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
