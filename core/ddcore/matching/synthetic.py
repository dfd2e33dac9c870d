"""The synthetic side of a term."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ddcore.parts import Batch, Run, View, concatenated


def synthetic_batch(run: Run, views: Mapping[int, View], members: Mapping[int, Tensor]) -> Batch:
    """Return the decoded examples of some classes, each class under its view.

    Connected examples are decoded together, and are under no view.

    Args:
        run: with the examples.
        views: one per class id.
        members: indices per class id.
    """
    if run.spec.connected:
        return run.examples.decode(torch.cat(list(members.values())), run.generator("decode"))
    return concatenated([views[c](run.examples.decode(i, run.generator("decode", c))) for c, i in members.items()])
