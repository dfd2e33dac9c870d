"""K-center (Wolf 2011; Sener & Savarese 2018): no example is far from a selected one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.coresets.features import FeatureSpace
from ddcore.parts import CoresetRule, Pool


@dataclass(frozen=True)
class KCenter(CoresetRule):
    """Greedy farthest-point selection within each class.

    It starts from the example nearest the class mean.
    """

    space: FeatureSpace = field(default_factory=FeatureSpace)
    name: ClassVar[str] = "k_center"

    def select(self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Tensor]:
        features = self.space.embed(pool, generator)
        return {c: (members := pool.members(c))[farthest_points(features[members], n)] for c, n in counts.items()}


def farthest_points(features: Tensor, count: int) -> Tensor:
    """Return the indices of ``count`` rows of ``features`` (``n x d``).

    Each is farthest from those before it.
    """
    chosen = [int((features - features.mean(dim=0)).square().sum(dim=1).argmin())]
    nearest = torch.full((len(features),), torch.inf)
    while len(chosen) < count:
        nearest = torch.minimum(nearest, (features - features[chosen[-1]]).square().sum(dim=1))
        nearest[chosen[-1]] = -1.0
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen)
