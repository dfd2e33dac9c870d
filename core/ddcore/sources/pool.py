"""A pool of networks of different ages. Each is trained on the synthetic examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ddcore.errors import UnknownNameError
from ddcore.parts import LOSSES, Architecture, Network, Networks, NetworkSource, Recipe, Run, Usual
from ddcore.settings import require, require_counts
from ddcore.sources.drawn import DrawnNetworks
from ddcore.sources.settle import settle
from ddcore.training.fit import reproducible_dropout, take_step


@dataclass(frozen=True)
class NetworkPool(NetworkSource):
    """Each step matches on a random member of the pool, then trains it.

    It is trained on synthetic examples, by 1 to ``most_updates`` updates, all numbers equally
    likely. At an age of ``max_age`` updates a member gives way to a new one. With ``staggered`` the
    members that the pool starts with retire earlier, the last of them first. So the pool soon holds
    all ages.

    Attributes:
        architecture: of the members.
        size: number of members.
        max_age: updates in a member's life. The last ones are not carried out.
        learning_rate: of Adam.
        batch_size: synthetic examples per update.
        loss: of training, a name in ``ddcore.parts.LOSSES``.
        most_updates, staggered: see above.

    Source: Zhou et al. 2022 (arXiv:2206.00719), section 3.3; Loo et al. 2023 (arXiv:2302.06755) for
    several updates.
    """

    architecture: Architecture = field(default_factory=Usual)
    size: int = 10
    max_age: int = 102
    learning_rate: float = 3e-4
    batch_size: int = 1000
    loss: str = "squared_error"
    most_updates: int = 1
    staggered: bool = True

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise UnknownNameError("loss", self.loss, LOSSES)
        require_counts(size=self.size, max_age=self.max_age, batch_size=self.batch_size, most_updates=self.most_updates)
        require(self.learning_rate > 0, f"learning_rate must be positive, not {self.learning_rate}")

    def start(self, run: Run) -> Networks:
        return _Pool(self, run)


class _Member(DrawnNetworks):
    _optimiser: torch.optim.Optimizer

    def __init__(self, settings: NetworkPool, run: Run, place: int) -> None:
        self._settings = settings
        early = max(settings.max_age - 2, 0) * place // settings.size if settings.staggered else 0
        self._retires_at = max(1, settings.max_age - early)
        super().__init__(settings.architecture, run, stream=place + 1)

    def draw(self, episode: int) -> None:
        super().draw(episode)
        if episode > 0:
            self._retires_at = self._settings.max_age
        self._optimiser = torch.optim.Adam(self._network.parameters(), lr=self._settings.learning_rate)

    def advance(self) -> None:
        settings, run = self._settings, self._run
        updates = 1
        if settings.most_updates > 1:
            updates += int(torch.randint(settings.most_updates, (1,), generator=run.generator("pool-updates")))
        self.age += updates
        if self.age >= self._retires_at:
            self.draw(self.episode + 1)
            return
        random, recipe = run.generator("pool-training"), Recipe(settings.loss)
        total = sum(run.examples.counts.values())
        self._network.train()
        with self._network.trained(), reproducible_dropout(self._network, random):
            for update in range(updates):
                indices = torch.randperm(total, generator=random)[: settings.batch_size]
                with torch.no_grad():
                    decoding = run.generator("pool-decode", *([update] if update else []))
                    synthetic = run.examples.decode(indices, decoding).detach()
                take_step(self._network, self._optimiser, synthetic, recipe=recipe, precision=run.precision)
        settle(self._network, run)


class _Pool(Networks):
    def __init__(self, settings: NetworkPool, run: Run) -> None:
        self._run = run
        self._members = [_Member(settings, run, place) for place in range(settings.size)]
        self._pick(run.generator("pool", "first"))

    def _pick(self, generator: torch.Generator) -> None:
        self._picked = int(torch.randint(len(self._members), (1,), generator=generator))
        member = self._members[self._picked]
        self.episode, self.age = member.episode, member.age

    def current(self) -> Sequence[Network]:
        return self._members[self._picked].current()

    def advance(self) -> None:
        self._members[self._picked].advance()
        self._pick(self._run.generator("pool"))

    def state_dict(self) -> dict[str, Any]:
        members = [member.state_dict() for member in self._members]
        return super().state_dict() | {"members": members, "picked": self._picked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._picked = state["picked"]
        for member, saved in zip(self._members, state["members"], strict=True):
            member.load_state_dict(saved)
