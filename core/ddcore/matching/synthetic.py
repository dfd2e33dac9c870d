"""The synthetic side of a term."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ddcore.parts import Batch, Examples, Run, View, concatenated, viewed_at_once


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
    if run.device.type != "cpu" and not run.examples.draws_when_decoded:
        batch = run.examples.decode(torch.cat(list(members.values())))
        if isinstance(batch.inputs, torch.Tensor):
            return viewed_at_once(batch, views, {c: len(indices) for c, indices in members.items()})
    return concatenated([views[c](run.examples.decode(i, run.generator("decode", c))) for c, i in members.items()])


def rank_by_rank(examples: Examples) -> Tensor:
    """Return the indices of all examples: the first of every class, then the second, and so on."""
    members = [examples.indices_of(c) for c in examples.classes]
    ranks = torch.cat([torch.arange(len(indices)) for indices in members])
    return torch.cat(members)[ranks.argsort(stable=True)]
