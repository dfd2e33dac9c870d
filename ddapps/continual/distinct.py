"""Selection that never takes an example twice where data repeat some to give them weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

import ddcore as dd
from ddapps.sizing import stored_at
from ddcore.coresets import as_rule
from ddcore.parts import NOISE, CoresetRule, Pool


@dataclass(frozen=True)
class Distinct(CoresetRule):
    """A rule, applied to one copy of each example.

    Attributes:
        rule: that selects.
    """

    rule: CoresetRule
    name: ClassVar[str] = "distinct"

    def select(self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Tensor]:
        first = first_copies(pool.split)
        chosen = self.rule.select(Pool(pool.split.take(first), pool.spec, pool.device), counts, generator)
        return {class_id: first[indices.cpu()] for class_id, indices in chosen.items()}


def first_copies(split: dd.data.Split) -> Tensor:
    """Return, ascending, where each distinct image of each class stands for the first time."""
    found = []
    for class_id in split.targets.unique().tolist():
        members = (split.targets == class_id).nonzero().flatten()
        _, kinds = torch.unique(split.inputs[members].flatten(1), dim=0, return_inverse=True)
        place = torch.full((int(kinds.max()) + 1,), len(members), dtype=torch.int64)
        place.scatter_reduce_(0, kinds, torch.arange(len(members)), reduce="amin")
        found.append(members[place])
    return torch.cat(found).sort().values


def distinctly(method: dd.Method, available: Mapping[int, int]) -> dd.Method:
    """Return a method for data that repeat examples.

    Args:
        method: as it is for the distinct examples.
        available: number of distinct examples per class id.
    """
    place, counts = stored_at(method), method.factorization.counts_for(available)
    (each,) = dd.override(method, f"{place}.ipc", 1).factorization.counts_for({0: 1}).values()
    method = dd.override(method, f"{place}.ipc", {class_id: n // each for class_id, n in counts.items()})
    init = getattr(getattr(method.factorization, "of", method.factorization), "init", "noise")
    return method if init in NOISE else dd.override(method, f"{place}.init", Distinct(as_rule(init)))
