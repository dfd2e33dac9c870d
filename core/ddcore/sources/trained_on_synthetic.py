"""Networks that train on the synthetic examples between matching steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from ddcore.parts import Architecture, Batch, Networks, NetworkSource, NoAugmentation, Recipe, Run, Usual, taken
from ddcore.settings import require, require_counts
from ddcore.sources.drawn import DrawnNetworks
from ddcore.sources.plateau import Plateau
from ddcore.sources.settle import settle
from ddcore.training.fit import Training, fit


@dataclass(frozen=True)
class TrainedOnSynthetic(NetworkSource):
    """Every network has ``outer`` states, and trains on the synthetic examples between two of them.

    Attributes:
        architecture: of the networks.
        outer: states per network.
        inner: epochs of training between two states.
        steps_per_state: matching steps on each state (1 in Zhao et al. 2021).
        optimiser: ``sgd``, without momentum and weight decay; or ``adam``. It is made anew between
            any two states.
        learning_rate: of the optimiser.
        batch_size: synthetic examples per update.
        augment: whether training uses the run's augmentation. Every example gets its own draw.
        plateau: ends both loops by accuracy on real data, in place of ``outer`` and ``inner``.

    Source: Zhao et al. 2021 (arXiv:2006.05929), algorithm 1.
    """

    architecture: Architecture = field(default_factory=Usual)
    outer: int = 10
    inner: int = 50
    steps_per_state: int = 1
    optimiser: str = "sgd"
    learning_rate: float = 0.01
    batch_size: int = 256
    augment: bool = False
    plateau: Plateau | None = None

    def __post_init__(self) -> None:
        require_counts(
            outer=self.outer, inner=self.inner, steps_per_state=self.steps_per_state, batch_size=self.batch_size
        )
        require(self.learning_rate > 0, f"learning_rate must be positive, not {self.learning_rate}")

    def asks(self) -> frozenset[str]:
        return frozenset() if self.plateau is None else frozenset({"batch"})

    def start(self, run: Run) -> Networks:
        return _TrainedOnSynthetic(self, run)


class _TrainedOnSynthetic(DrawnNetworks):
    def __init__(self, settings: TrainedOnSynthetic, run: Run) -> None:
        self._settings = settings
        self._checks: list[float] = []
        super().__init__(settings.architecture, run)

    def draw(self, episode: int) -> None:
        super().draw(episode)
        self._checks = []

    def advance(self) -> None:
        self.age += 1
        settings, run, network = self._settings, self._run, self._network
        plateau = settings.plateau
        state, steps_left = divmod(self.age, settings.steps_per_state)
        if steps_left:
            return
        if plateau is not None:
            self._checks.append(plateau.carry(plateau.check(network, run), self._checks, run.spec.num_classes))
        done = plateau.network_is_done(self._checks, state) if plateau else state >= settings.outer
        if done:
            self.draw(self.episode + 1)
            return
        with torch.no_grad():
            synthetic = run.examples.decode(generator=run.generator("inner-decode")).detach()
        if plateau is None:
            self._train(run, synthetic, settings.inner, run.generator("inner-training"))
        else:
            self._train_until_moved(run, synthetic, plateau)
        settle(network, run)

    def _train_until_moved(self, run: Run, synthetic: Batch, plateau: Plateau) -> None:
        checks: list[float] = []
        while not plateau.training_is_done(checks, len(checks)):
            self._train(run, synthetic, 1, run.generator("inner-training", len(checks)))
            settle(self._network, run)
            accuracy = plateau.check(self._network, run, len(checks))
            checks.append(plateau.carry(accuracy, checks, run.spec.num_classes))

    def _train(self, run: Run, synthetic: Batch, epochs: int, generator: torch.Generator) -> None:
        settings = self._settings
        training = Training(
            epochs=epochs,
            optimiser=settings.optimiser,
            learning_rate=settings.learning_rate,
            momentum=0.0,
            weight_decay=0.0,
            batch_size=settings.batch_size,
            drop_at=1.0,
            augmentation=run.augmentation if settings.augment else NoAugmentation(),
        )
        with self._network.trained():
            fit(
                self._network,
                lambda indices: taken(synthetic, indices),
                len(synthetic.inputs),
                training,
                generator=generator,
                recipe=Recipe(run.spec.task.loss("cross_entropy")),
                precision=run.precision,
            )

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"checks": list(self._checks)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._checks = list(state["checks"])
