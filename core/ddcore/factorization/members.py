"""Which examples belong to which class."""

from __future__ import annotations

import torch
from torch import Tensor


def members_by_class(owners: Tensor, examples_each: int = 1) -> dict[int, Tensor]:
    """Return class id -> indices of its examples, for stored items sorted by class that give ``examples_each``."""
    ids, sizes = owners.unique_consecutive(return_counts=True)
    parts = torch.arange(len(owners) * examples_each).split((sizes * examples_each).tolist())
    return dict(zip(ids.tolist(), parts, strict=True))
