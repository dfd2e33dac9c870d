"""Herding (Welling 2009): the running mean of the selected examples follows the class mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.coresets.features import FeatureSpace
from ddcore.parts import CoresetRule, Pool


@dataclass(frozen=True)
class Herding(CoresetRule):
    r"""Greedy selection within each class.

    It chooses :math:`\arg\min_i \|\mu - \frac{1}{k}(\sum_{j<k} f_j + f_i)\|`.
    """

    space: FeatureSpace = field(default_factory=FeatureSpace)
    name: ClassVar[str] = "herding"

    def select(self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Tensor]:
        features = self.space.embed(pool, generator)
        return {c: (members := pool.members(c))[herd(features[members], n)] for c, n in counts.items()}


def herd(features: Tensor, count: int) -> Tensor:
    """Return the indices of ``count`` rows of ``features`` (``n x d``), in order of choice."""
    mean, total = features.mean(dim=0), torch.zeros_like(features[0])
    free = torch.ones(len(features), dtype=torch.bool)
    chosen = []
    for k in range(1, count + 1):
        distance = (k * mean - total - features).square().sum(dim=1)
        index = int(distance.masked_fill(~free, torch.inf).argmin())
        free[index] = False
        total = total + features[index]
        chosen.append(index)
    return torch.tensor(chosen)
