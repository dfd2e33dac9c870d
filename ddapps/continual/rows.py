"""The strategies that a comparison sets side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from avalanche.training import Naive
from avalanche.training.plugins import ReplayPlugin, SupervisedPlugin
from avalanche.training.storage_policy import (
    ClassBalancedBuffer,
    ExemplarsBuffer,
    ExperienceBalancedBuffer,
    ReservoirSamplingBuffer,
)

import ddcore as dd
from ddapps.continual.buffer import SummaryBuffer
from ddapps.continual.kinds import Kind
from ddapps.continual.memory import Memory
from ddapps.continual.recall import CompressThenRecall
from ddapps.continual.setting import Setting
from ddapps.continual.soft_replay import SoftReplayPlugin
from ddapps.grids import Axis
from ddcore.evaluation import Protocol
from ddcore.summary import original_bytes

BUFFERS: dict[str, Callable[[int], ExemplarsBuffer]] = {
    "reservoir": ReservoirSamplingBuffer,
    "class-balanced": ClassBalancedBuffer,
    "experience-balanced": ExperienceBalancedBuffer,
}
"""Avalanche's buffers of real images, by name."""


BATCH = 64
"""Examples of an update, in replay and in recall."""


@dataclass(frozen=True)
class ReplayTraining:
    """How a strategy with replay trains on an experience.

    Attributes:
        learning_rate: of SGD with momentum 0.9.
        updates: on each experience, half of whose `BATCH` examples are of the memory.
    """

    learning_rate: float = 0.01
    updates: int = 400


class _EndsAfter(SupervisedPlugin):  # type: ignore[misc]
    """Ends the training of an experience after a number of updates."""

    def __init__(self, updates: int) -> None:
        super().__init__()
        self._updates = updates

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        if strategy.clock.train_exp_iterations >= self._updates:
            strategy.stop_training()


class _Replay(ReplayPlugin):  # type: ignore[misc]
    """Avalanche's plugin. Its buffer hears of experiences by the name that is not deprecated."""

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self.storage_policy.post_adapt(strategy, strategy.experience)


@dataclass(frozen=True)
class _RealImages:
    """A buffer of Avalanche, or none, as a memory whose bytes can be told."""

    buffer: ExemplarsBuffer | None
    image: int
    seconds_saved: float = 0.0

    @property
    def stored_bytes(self) -> int:
        return 0 if self.buffer is None else self.image * len(self.buffer.buffer)


@dataclass(frozen=True)
class Recall:
    """Compress-then-recall: a fresh network is trained on the memory alone.

    Attributes:
        memory: how experiences are kept.
        protocol: of recall.
        learning_rate, updates: in place of the protocol's, and batches of `BATCH` with them.
    """

    memory: Kind
    protocol: Protocol
    learning_rate: float | None = None
    updates: int | None = None

    @property
    def memory_name(self) -> str:
        """Name that memories of this kind share."""
        return self.memory.memory_name

    def axes(self, tuned: Mapping[str, Axis], spec: dd.Spec) -> list[dict[str, Axis]]:
        """Return what is searched for such data, one search after the other.

        Of ``tuned`` those settings that the memory's recipe does not replace.
        """
        recipe = self.memory.recipe
        kept = dict(tuned)
        if recipe is not None and recipe.steps is not None:
            kept = {}
        elif recipe is not None and recipe.learning_rate is not None:
            kept.pop("learning_rate", None)
        return [*self.memory.axes(spec), kept]

    def tuned(self, values: Mapping[str, Any]) -> Recall:
        """Return the same with other values of what was searched."""
        mine = {name: value for name, value in values.items() if name in ("learning_rate", "updates")}
        others = {name: value for name, value in values.items() if name not in mine}
        return replace(self, memory=replace(self.memory, **others) if others else self.memory, **mine)  # type: ignore[type-var]

    def strategy(self, setting: Setting, seed: int, directory: Path | None) -> tuple[Any, Memory]:
        """Return a new strategy, and its memory."""
        buffer = self.memory.buffer(setting, seed, directory)
        training = self.protocol.training
        if self.learning_rate is not None:
            training = replace(training, learning_rate=self.learning_rate)
        if self.updates is not None:
            training = replace(training, updates={1: self.updates}, batch_size=BATCH)
        protocol = replace(self.protocol, training=training)
        recalling = CompressThenRecall(
            model=setting.model(seed), buffer=buffer, protocol=protocol, seed=seed, **setting.shared()
        )
        return recalling, buffer.memory


@dataclass(frozen=True)
class Replay:
    """Training goes on through the experiences; each batch has as many examples of the memory.

    Attributes:
        memory: a buffer of Avalanche by its name (`BUFFERS`), or how experiences are kept; None:
            no memory.
        training: of each experience.
    """

    memory: str | Kind | None
    training: ReplayTraining = ReplayTraining()

    @property
    def memory_name(self) -> str:
        """Name that memories of this kind share."""
        return self.memory.memory_name if isinstance(self.memory, Kind) else str(self.memory)

    def axes(self, tuned: Mapping[str, Axis], spec: dd.Spec) -> list[dict[str, Axis]]:
        """Return what is searched."""
        return [dict(tuned)]

    def tuned(self, values: Mapping[str, Any]) -> Replay:
        """Return the same with other values of what was searched."""
        return replace(self, training=replace(self.training, **values))

    def strategy(self, setting: Setting, seed: int, directory: Path | None) -> tuple[Any, Memory | _RealImages]:
        """Return a new strategy, and its memory."""
        image = original_bytes(setting.spec, 1)
        buffer: Any = None
        if isinstance(self.memory, Kind):
            buffer = self.memory.buffer(setting, seed, directory)
        elif self.memory is not None:
            buffer = BUFFERS[self.memory](setting.most // image)
        plugins: list[Any] = [_EndsAfter(self.training.updates)]
        if buffer is not None:
            plugins.append(self._plugin(buffer, seed))
        model = setting.model(seed)
        how = self.training
        strategy = Naive(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=how.learning_rate, momentum=0.9),
            train_mb_size=BATCH // 2,
            train_epochs=how.updates,
            plugins=plugins,
            **setting.shared(),
        )
        return strategy, buffer.memory if isinstance(buffer, SummaryBuffer) else _RealImages(buffer, image)

    def _plugin(self, buffer: Any, seed: int) -> Any:
        if isinstance(self.memory, Kind) and self.memory.learns_labels:
            return SoftReplayPlugin(buffer, seed=seed)
        return _Replay(mem_size=buffer.max_size, storage_policy=buffer)
