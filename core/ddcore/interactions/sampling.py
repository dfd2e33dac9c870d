"""Fewer interactions, or noisy ones: what a distilled set of users is compared with."""

from __future__ import annotations

from dataclasses import replace

import torch

from ddcore.errors import BudgetError, InputDataError
from ddcore.ground.randomness import generator
from ddcore.interactions.spec import InteractionSpec
from ddcore.parts import SparseRows, Split, TargetData


def _rows_of(target: TargetData) -> SparseRows:
    rows: object = target.train.inputs
    if not isinstance(rows, SparseRows):
        raise InputDataError(f"{target.name} holds {target.spec.modality}, not interactions")
    return rows


def _with_rows(target: TargetData, rows: SparseRows, name: str) -> TargetData:
    kept = rows[rows.sizes() > 0]
    assert isinstance(target.spec, InteractionSpec)
    spec = replace(target.spec, mean_interactions=float(kept.sizes().double().mean()))
    return replace(target, name=name, spec=spec, train=Split(kept.as_inputs(), kept.as_inputs()))


def sample_interactions(target: TargetData, count: int, seed: int = 0) -> TargetData:
    """Return the same data with ``count`` training interactions, drawn at random.

    A user of whom none is drawn is gone from the training split, and stays in the others.

    Raises:
        BudgetError: there are fewer interactions.
    """
    rows = _rows_of(target)
    if not 0 < count <= len(rows.columns):
        raise BudgetError(f"{count} interactions of {len(rows.columns)} cannot be drawn")
    drawn = torch.randperm(len(rows.columns), generator=generator(seed, "interactions"))[:count].sort().values
    size = (len(rows), rows.width)
    kept = SparseRows.of_pairs(rows.rows()[drawn], rows.columns[drawn], size, rows.values[drawn])
    return _with_rows(target, kept, f"{target.name}[{count} interactions]")


def flip_interactions(target: TargetData, share: float, seed: int = 0) -> TargetData:
    """Return the same data with noise: a share of each training user's items is replaced.

    In their places stand items drawn at random among those that the user never chose in training.

    Args:
        target: interactions.
        share: of the training interactions, in [0, 1]. Each is replaced with this chance.
        seed: of the noise.
    """
    if not 0 <= share <= 1:
        raise BudgetError(f"a share lies in [0, 1], not {share}")
    rows, random = _rows_of(target), generator(seed, "flips")
    flipped = torch.rand(len(rows.columns), generator=random) < share
    lists = []
    for start, end in zip(rows.starts[:-1].tolist(), rows.starts[1:].tolist(), strict=True):
        mine, gone = rows.columns[start:end], flipped[start:end]
        free = torch.ones(rows.width, dtype=torch.bool)
        free[mine] = False
        others = free.nonzero().flatten()
        drawn = others[torch.randperm(len(others), generator=random)[: int(gone.sum())]]
        lists.append(torch.cat([mine[~gone], drawn]))
    sizes = torch.tensor([len(found) for found in lists])
    users = torch.arange(len(lists)).repeat_interleave(sizes)
    noisy = SparseRows.of_pairs(users, torch.cat(lists), (len(rows), rows.width))
    return _with_rows(target, noisy, f"{target.name}[{share:.0%} flipped]")
