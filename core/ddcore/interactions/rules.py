"""Rules that select users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ddcore.errors import UnsupportedError
from ddcore.parts import CoresetRule, Pool, SparseRows
from ddcore.settings import require_counts


def _rows_of(pool: Pool) -> SparseRows:
    rows: object = pool.split.inputs
    if not isinstance(rows, SparseRows):
        raise UnsupportedError(f"this rule selects users by their items; the data are {pool.spec.modality}")
    return rows


@dataclass(frozen=True)
class HeadUsers(CoresetRule):
    """Those with the most items. Of equal ones those that come first."""

    name: ClassVar[str] = "head_users"

    def select(self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Tensor]:
        order = _rows_of(pool).sizes().argsort(descending=True, stable=True)
        return {c: order[:n] for c, n in counts.items()}


@dataclass(frozen=True)
class SVPUsers(CoresetRule):
    r"""Those whose items a small model finds hardest, on average over its training.

    The model is a matrix factorisation, trained by Bayesian personalised ranking: each item of a
    user against one drawn at random. The importance of a user is one minus the share of such
    pairs that are in order, as a mean over epochs.

    Attributes:
        dimension: of the factors.
        epochs: of Adam at ``learning_rate``.

    Source: SVP-CF, Sachdeva et al. 2022 (arXiv:2201.04768). Dimension and epochs are ours.
    """

    dimension: int = 16
    epochs: int = 10
    learning_rate: float = 0.01
    name: ClassVar[str] = "svp_cf"

    def __post_init__(self) -> None:
        require_counts(dimension=self.dimension, epochs=self.epochs)

    def select(self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Tensor]:
        order = self._importance(_rows_of(pool), generator).argsort(descending=True, stable=True)
        return {c: order[:n] for c, n in counts.items()}

    def _importance(self, rows: SparseRows, generator: torch.Generator) -> Tensor:
        users, items = rows.rows(), rows.columns
        factors = [
            nn.Parameter(0.1 * torch.randn(size, self.dimension, generator=generator))
            for size in (len(rows), rows.width)
        ]
        optimiser = torch.optim.Adam(factors, lr=self.learning_rate)
        wrong = torch.zeros(len(rows), dtype=torch.float64)
        for _ in range(self.epochs):
            for chosen in torch.randperm(len(users), generator=generator).split(4096):
                negatives = torch.randint(rows.width, (len(chosen),), generator=generator)
                mine, wanted, other = factors[0][users[chosen]], factors[1][items[chosen]], factors[1][negatives]
                margin = (mine * (wanted - other)).sum(dim=1)
                wrong.index_add_(0, users[chosen], (margin.detach() <= 0).double())
                optimiser.zero_grad()
                nn.functional.softplus(-margin).mean().backward()
                optimiser.step()
        return wrong / (self.epochs * rows.sizes())
