"""Settings of the outer optimiser: the one that moves the stored parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from ddcore.errors import MissingExtraError, SettingsError, UnknownNameError
from ddcore.ground.lamb import Lamb
from ddcore.settings import require

KINDS = ("sgd", "adam", "adabelief", "lamb")
SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class Optimiser:
    """The outer optimiser.

    Attributes:
        kind: ``sgd``, ``adam``, ``lamb``, or ``adabelief``, which is of the package
            pytorch-optimizer.
        learning_rate: of every parameter group.
        group_learning_rates: of single groups, where they differ (``{"labels": 0.01}``).
        momentum: of SGD.
        group_momenta: of single groups under SGD, where they differ.
        betas: of all kinds but SGD.
        drops: shares of the run. After each, the learning rates are multiplied by ``drop`` once.
        drop: that factor.
        schedule: ``constant``, or ``cosine``: from the learning rates to ``final`` of them at the
            end of the run.
        final: of the cosine: a share of the learning rates.
        turns: names of parameter groups and numbers of networks. Each group moves alone on so many
            networks, one group after the other, again and again. Empty: all move always.
        average: decay of the running mean of the stored parameters over the steps. The summary then
            holds that mean. 0: it holds the last ones.
        clip: largest norm of the gradient of all groups together. A longer one is shortened to it.
            None: none is.
    """

    kind: str = "sgd"
    learning_rate: float = 1.0
    group_learning_rates: Mapping[str, float] = field(default_factory=dict, hash=False)
    momentum: float = 0.5
    group_momenta: Mapping[str, float] = field(default_factory=dict, hash=False)
    betas: tuple[float, float] = (0.9, 0.999)
    drops: tuple[float, ...] = ()
    drop: float = 0.5
    schedule: str = "constant"
    final: float = 0.0
    turns: tuple[tuple[str, int], ...] = ()
    clip: float | None = None
    average: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("optimiser", self.kind, KINDS)
        if self.schedule not in SCHEDULES:
            raise UnknownNameError("schedule", self.schedule, SCHEDULES)
        require(all(count > 0 for _, count in self.turns), f"a turn takes one network or more: {self.turns}")
        require(self.clip is None or self.clip > 0, f"clip must be above 0, not {self.clip}")
        require(0 <= self.average < 1, f"average is a decay, in [0, 1), not {self.average}")
        for rate in (self.learning_rate, *self.group_learning_rates.values()):
            number = isinstance(rate, int | float)
            require(number and 0 < rate < float("inf"), f"a learning rate must be positive and finite, not {rate!r}")
        for momentum in (self.momentum, *self.group_momenta.values()):
            require(0 <= momentum < 1, f"momentum must lie in [0, 1), not {momentum}")
        require(0 <= self.final <= 1, f"final is a share of the learning rates, in [0, 1], not {self.final}")
        require(
            all(isinstance(share, int | float) and 0 < share < 1 for share in self.drops),
            f"drops are shares of the run, in (0, 1), not {self.drops}",
        )
        require(0 < self.drop <= 1, f"drop must lie in (0, 1], not {self.drop}")
        require(len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), f"betas lie in [0, 1), not {self.betas}")

    def renamed(self, group: str, name: str) -> Optimiser:
        """Return the same settings, what they say of a parameter group said of ``name``."""

        def moved(settings: Mapping[str, float]) -> dict[str, float]:
            return {name if key == group else key: value for key, value in settings.items()}

        return replace(
            self,
            group_learning_rates=moved(self.group_learning_rates),
            group_momenta=moved(self.group_momenta),
            turns=tuple((name if key == group else key, count) for key, count in self.turns),
        )

    def factor_at(self, step: int, steps: int) -> float:
        """Return what the learning rates are multiplied by at ``step`` of ``steps``."""
        wave = 0.5 * (1 + math.cos(math.pi * step / steps)) if self.schedule == "cosine" else 1.0
        return float(
            (self.final + (1 - self.final) * wave) * self.drop ** sum(step >= share * steps for share in self.drops)
        )

    def resting(self, episode: int, groups: Mapping[str, Any]) -> list[str]:
        """Return the names of the groups whose turn it is not on network number ``episode``."""
        if not self.turns:
            return []
        order = [name for name, count in self.turns for _ in range(count)]
        moving = order[episode % len(order)]
        return [group for group in groups if group in order and group != moving]

    def build(self, groups: Mapping[str, list[nn.Parameter]]) -> torch.optim.Optimizer:
        """Return the optimiser of these named groups."""
        unknown = {*self.group_learning_rates, *self.group_momenta, *dict(self.turns)} - set(groups)
        if unknown:
            raise SettingsError(f"no parameter group {sorted(unknown)}: this run has {sorted(groups)}")
        parameters: list[dict[str, Any]] = [
            {"params": params, "lr": rate, "initial_lr": rate, "name": name}
            for name, params in groups.items()
            for rate in (self.group_learning_rates.get(name, self.learning_rate),)
        ]
        if self.kind == "sgd":
            for group in parameters:
                group["momentum"] = self.group_momenta.get(str(group["name"]), self.momentum)
            return torch.optim.SGD(parameters, lr=self.learning_rate, momentum=self.momentum)
        kinds: dict[str, Any] = {"adam": torch.optim.Adam, "lamb": Lamb}
        built: torch.optim.Optimizer = (kinds.get(self.kind) or _adabelief())(parameters, betas=self.betas)
        return built


def _adabelief() -> Any:
    try:
        import pytorch_optimizer
    except ImportError as error:
        raise MissingExtraError("the optimiser 'adabelief'", "pytorch-optimizer", "optimisers") from error
    return pytorch_optimizer.AdaBelief
