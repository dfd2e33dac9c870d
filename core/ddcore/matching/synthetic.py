"""The synthetic side of a term."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ddcore.parts import Batch, Run, View, concatenated


def synthetic_batch(run: Run, views: Mapping[int, View], members: Mapping[int, Tensor]) -> Batch:
    """Return the decoded examples of some classes, each class under its view.

    Classes are given as class id -> indices.
    """
    return concatenated([views[c](run.examples.decode(i, run.generator("decode", c))) for c, i in members.items()])
