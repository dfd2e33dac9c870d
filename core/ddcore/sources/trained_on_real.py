"""Networks that train on real data between matching steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from ddcore.ground.devices import send_ahead
from ddcore.parts import Architecture, Augmentation, Networks, NetworkSource, NoAugmentation, Recipe, Run, Usual, taken
from ddcore.settings import require, require_counts
from ddcore.sources.drawn import DrawnNetworks
from ddcore.sources.settle import settle
from ddcore.training.fit import reproducible_dropout, take_step


@dataclass(frozen=True)
class TrainedOnReal(NetworkSource):
    """Every network has ``outer`` matching steps. Between two of them it trains on real data.

    Attributes:
        architecture: of the networks.
        outer: matching steps per network.
        examples: real examples between two matching steps, drawn evenly from the classes.
        batch_size: real examples per update.
        learning_rate, momentum, weight_decay: of SGD. The momentum lives as long as the network.
        augmentation: of training. Every example gets a draw of its own.

    Source: Kim et al. 2022 (arXiv:2205.14959), algorithm 1.
    """

    architecture: Architecture = field(default_factory=Usual)
    outer: int = 100
    examples: int = 500
    batch_size: int = 64
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augmentation: Augmentation = field(default_factory=NoAugmentation)

    def __post_init__(self) -> None:
        require_counts(outer=self.outer, examples=self.examples, batch_size=self.batch_size)
        require(self.learning_rate > 0, f"learning_rate must be positive, not {self.learning_rate}")
        require(
            0 <= self.momentum < 1 and self.weight_decay >= 0, "momentum lies in [0, 1), weight_decay is not negative"
        )

    def asks(self) -> frozenset[str]:
        return frozenset({"batch"})

    def start(self, run: Run) -> Networks:
        return _TrainedOnReal(self, run)


class _TrainedOnReal(DrawnNetworks):
    _optimiser: torch.optim.Optimizer

    def __init__(self, settings: TrainedOnReal, run: Run) -> None:
        self._settings = settings
        self._augmentation = settings.augmentation.suited_to(run.spec)
        super().__init__(settings.architecture, run)

    def draw(self, episode: int) -> None:
        super().draw(episode)
        s = self._settings
        self._optimiser = torch.optim.SGD(
            self._network.parameters(), lr=s.learning_rate, momentum=s.momentum, weight_decay=s.weight_decay
        )

    def advance(self) -> None:
        self.age += 1
        settings, run = self._settings, self._run
        if self.age >= settings.outer:
            self.draw(self.episode + 1)
            return
        classes, random = run.examples.classes, run.generator("real-training")
        real = run.real.batch(classes, -(-settings.examples // len(classes)), "real-training")
        recipe = Recipe(run.spec.task.loss("cross_entropy"))
        order = torch.randperm(len(real.targets), generator=random)[: settings.examples]
        self._network.train()
        with self._network.trained(), reproducible_dropout(self._network, random):
            updates = [(i, self._augmentation.draw(random, len(i))) for i in order.split(settings.batch_size)]
            send_ahead((tensor for i, view in updates for tensor in (i, *view.tensors())), run.device)
            for indices, view in updates:
                batch = view(taken(real, indices))
                take_step(self._network, self._optimiser, batch, recipe=recipe, precision=run.precision)
        settle(self._network, run)
