"""The strategies that a comparison sets side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from avalanche.training import DER, ER_ACE, Naive
from avalanche.training.plugins import ReplayPlugin, SupervisedPlugin
from avalanche.training.storage_policy import (
    ClassBalancedBuffer,
    ExemplarsBuffer,
    ExperienceBalancedBuffer,
    ReservoirSamplingBuffer,
)
from avalanche.training.templates import SupervisedTemplate

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


class _ClassBalanced(ClassBalancedBuffer):  # type: ignore[misc]
    """Avalanche's buffer. `ER_ACE` tells it of experiences by a name that is deprecated."""

    def update(self, strategy: Any, **kwargs: Any) -> None:
        self.post_adapt(strategy, strategy.experience)
        strategy.batch_size_mem = _replayed(self)


class _ErAce(ER_ACE):  # type: ignore[misc]
    """Avalanche's, which would leave out replay where a batch is larger than the buffer."""

    def __init__(self, *, mem_size: int, **given: Any) -> None:
        super().__init__(mem_size=mem_size, **given)
        self.storage_policy = _ClassBalanced(mem_size)


class _Der(DER):  # type: ignore[misc]
    """Avalanche's, which would leave out replay where a batch is larger than the buffer."""

    def _before_training_exp(self, **kwargs: Any) -> None:
        self.batch_size_mem = _replayed(self.storage_policy)
        super()._before_training_exp(**kwargs)


def _replayed(buffer: ExemplarsBuffer) -> int:
    """Return how many examples of a buffer are in a batch."""
    return max(1, min(BATCH // 2, len(buffer.buffer)))


@dataclass(frozen=True)
class OwnBuffer:
    """A strategy of Avalanche that keeps real images itself.

    Its constants are Avalanche's, but for the learning rate, the number of updates and the sizes of
    batches: these are as in replay.

    Attributes:
        strategy: its class.
        logits: whether it stores those of every image, in four bytes each.
    """

    strategy: type[SupervisedTemplate]
    logits: bool = False

    def image_bytes(self, spec: dd.Spec) -> int:
        """Return the bytes of one image."""
        return original_bytes(spec, 1) + 4 * spec.num_classes * self.logits


OWN_BUFFERS = {"er-ace": OwnBuffer(_ErAce), "der": OwnBuffer(_Der, logits=True)}
"""By name. ``der`` is DER++ with Avalanche's weights.

Sources: Caccia et al. 2022 (openreview.net/forum?id=N8MaByOzUfb); Buzzega et al. 2020
(arXiv:2004.07211).
"""


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

    def image_bytes(self, spec: dd.Spec) -> int:
        """Return the bytes of one real image."""
        return original_bytes(spec, 1)

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
        memory: a buffer of Avalanche or a strategy with its own by name (`BUFFERS`, `OWN_BUFFERS`),
            or how experiences are kept; None: no memory.
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

    def image_bytes(self, spec: dd.Spec) -> int:
        """Return the bytes of one real image in its memory."""
        return OWN_BUFFERS[self.memory].image_bytes(spec) if self.memory in OWN_BUFFERS else original_bytes(spec, 1)

    def tuned(self, values: Mapping[str, Any]) -> Replay:
        """Return the same with other values of what was searched."""
        return replace(self, training=replace(self.training, **values))

    def strategy(self, setting: Setting, seed: int, directory: Path | None) -> tuple[Any, Memory | _RealImages]:
        """Return a new strategy, and its memory."""
        image = self.image_bytes(setting.spec)
        size = setting.most // image
        if self.memory in OWN_BUFFERS:
            strategy = OWN_BUFFERS[self.memory].strategy(mem_size=size, **self._given(setting, seed))
            return strategy, _RealImages(strategy.storage_policy, image)
        buffer: Any = None
        if isinstance(self.memory, Kind):
            buffer = self.memory.buffer(setting, seed, directory)
        elif self.memory is not None:
            buffer = BUFFERS[self.memory](size)
        given = self._given(setting, seed)
        if buffer is not None:
            given["plugins"].append(self._plugin(buffer, seed))
        return Naive(**given), buffer.memory if isinstance(buffer, SummaryBuffer) else _RealImages(buffer, image)

    def _given(self, setting: Setting, seed: int) -> dict[str, Any]:
        """Return the arguments of any strategy of Avalanche."""
        model, how = setting.model(seed), self.training
        return {
            "model": model,
            "optimizer": torch.optim.SGD(model.parameters(), lr=how.learning_rate, momentum=0.9),
            "train_mb_size": BATCH // 2,
            "train_epochs": how.updates,
            "plugins": [_EndsAfter(how.updates)],
            **setting.shared(),
        }

    def _plugin(self, buffer: Any, seed: int) -> Any:
        if isinstance(self.memory, Kind) and self.memory.learns_labels:
            return SoftReplayPlugin(buffer, seed=seed)
        return _Replay(mem_size=buffer.max_size, storage_policy=buffer)
