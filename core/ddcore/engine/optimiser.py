"""Settings of the outer optimiser: the one that moves the stored parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from ddcore.errors import SettingsError, UnknownNameError
from ddcore.settings import require

KINDS = ("sgd", "adam")


@dataclass(frozen=True)
class Optimiser:
    """The outer optimiser.

    Attributes:
        kind: ``sgd`` or ``adam``.
        learning_rate: of every parameter group.
        group_learning_rates: of single groups, where they differ (``{"labels": 0.01}``).
        momentum: of SGD.
        betas: of Adam.
        drops: shares of the run after which the learning rates are multiplied by ``drop``, once each.
        drop: that factor.
    """

    kind: str = "sgd"
    learning_rate: float = 1.0
    group_learning_rates: Mapping[str, float] = field(default_factory=dict, hash=False)
    momentum: float = 0.5
    betas: tuple[float, float] = (0.9, 0.999)
    drops: tuple[float, ...] = ()
    drop: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("optimiser", self.kind, KINDS)
        for rate in (self.learning_rate, *self.group_learning_rates.values()):
            number = isinstance(rate, int | float)
            require(number and 0 < rate < float("inf"), f"a learning rate must be positive and finite, not {rate!r}")
        require(0 <= self.momentum < 1, f"momentum must lie in [0, 1), not {self.momentum}")
        require(
            all(isinstance(share, int | float) and 0 < share < 1 for share in self.drops),
            f"drops are shares of the run, in (0, 1), not {self.drops}",
        )
        require(0 < self.drop <= 1, f"drop must lie in (0, 1], not {self.drop}")
        require(len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), f"betas lie in [0, 1), not {self.betas}")

    def factor_at(self, step: int, steps: int) -> float:
        """Return the product of the drops that lie behind at ``step`` of ``steps``."""
        return self.drop ** sum(step >= share * steps for share in self.drops)

    def build(self, groups: Mapping[str, list[nn.Parameter]]) -> torch.optim.Optimizer:
        """Return the optimiser of these named groups."""
        unknown = set(self.group_learning_rates) - set(groups)
        if unknown:
            raise SettingsError(f"no parameter group {sorted(unknown)}: this run has {sorted(groups)}")
        parameters = [
            {"params": params, "lr": rate, "initial_lr": rate, "name": name}
            for name, params in groups.items()
            for rate in (self.group_learning_rates.get(name, self.learning_rate),)
        ]
        if self.kind == "adam":
            return torch.optim.Adam(parameters, betas=self.betas)
        return torch.optim.SGD(parameters, lr=self.learning_rate, momentum=self.momentum)
