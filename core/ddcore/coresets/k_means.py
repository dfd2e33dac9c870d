"""K-means (Lloyd 1982): the centres of each class's clusters."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ddcore.parts import Batch, CoresetRule, Pool

STARTS = 3


@dataclass(frozen=True)
class KMeans(CoresetRule):
    """Cluster each class, as many clusters as it gives examples, and take their centres.

    As `examples`, centres stand for themselves: they are means of real ones, in normalised space.
    As indices (`select`), the member nearest each centre stands for it. Targets that are numbers
    are averaged like the inputs. scikit-learn clusters, the best of three starts.
    """

    name: ClassVar[str] = "k_means"

    def select(self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Tensor]:
        chosen = {}
        for class_id, count in counts.items():
            members = pool.members(class_id)
            rows = _rows(pool, members)
            distances = torch.cdist(_clustered(rows, count, generator)[0], rows)
            chosen[class_id] = members[_nearest_distinct(distances)]
        return chosen

    def examples(
        self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator, dtype: torch.dtype
    ) -> dict[int, Batch]:
        found = {}
        for class_id, count in counts.items():
            members = pool.members(class_id)
            centres, owners = _clustered(_rows(pool, members), count, generator)
            inputs = centres.to(dtype).view(count, *pool.spec.shape)
            found[class_id] = Batch(inputs, _targets(pool, members, owners, centres))
        return found


def _rows(pool: Pool, members: Tensor) -> Tensor:
    return pool.taken(members, torch.float64).inputs.flatten(1)


def _clustered(rows: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the centres, and the cluster of each row."""
    from sklearn.cluster import KMeans as Lloyd

    seed = int(torch.randint(2**31, (1,), generator=generator))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fewer distinct rows than clusters: some centres are equal then
        found: Any = Lloyd(count, n_init=STARTS, random_state=seed).fit(np.ascontiguousarray(rows.numpy()))
    return torch.from_numpy(found.cluster_centers_), torch.from_numpy(found.labels_.astype(np.int64))


def _nearest_distinct(distances: Tensor) -> Tensor:
    """Return, for each row of ``distances``, the nearest column that no row before it took."""
    chosen: list[int] = []
    for row in distances.clone():
        row[chosen] = torch.inf
        chosen.append(int(row.argmin()))
    return torch.tensor(chosen)


def _targets(pool: Pool, members: Tensor, owners: Tensor, centres: Tensor) -> Tensor:
    """Return the mean target of each cluster; of an empty one, that of the nearest member."""
    targets, count = pool.split.targets[members], len(centres)
    if not pool.spec.task.numeric:
        return targets[:count]
    nearest = torch.cdist(centres, _rows(pool, members)).argmin(dim=1)
    inside = [owners == cluster for cluster in range(count)]
    means = [targets[mine].mean(dim=0) if mine.any() else targets[nearest[i]] for i, mine in enumerate(inside)]
    return torch.stack(means)
