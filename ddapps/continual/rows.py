"""The strategies that a comparison sets side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.logging import BaseLogger
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from avalanche.training.storage_policy import (
    ClassBalancedBuffer,
    ExemplarsBuffer,
    ExperienceBalancedBuffer,
    ReservoirSamplingBuffer,
)

import ddcore as dd
from ddapps.continual.budget import MemoryBudget
from ddapps.continual.buffer import DistilledBuffer, SummaryBuffer
from ddapps.continual.memory import Memory
from ddapps.continual.online import CompositeMemoryBuffer, SampleCondensationBuffer
from ddapps.continual.recall import CompressThenRecall
from ddapps.sizing import Compression
from ddcore.evaluation import Protocol
from ddcore.ground import derive_seed, resolve_device
from ddcore.parts import Architecture
from ddcore.summary import original_bytes

BUFFERS: dict[str, Callable[[int], ExemplarsBuffer]] = {
    "reservoir": ReservoirSamplingBuffer,
    "class-balanced": ClassBalancedBuffer,
    "experience-balanced": ExperienceBalancedBuffer,
}
"""Avalanche's buffers of real images, by name."""

ONLINE = ("sample-condensation", "composite-memory")
"""Memories for streams, by name."""


@dataclass(frozen=True)
class ReplayTraining:
    """How a strategy with replay trains on an experience.

    Attributes:
        learning_rate: of SGD with momentum 0.9.
        epochs: passes over the experience.
        batch_size: examples of the experience in a batch, and as many of the memory.
    """

    learning_rate: float = 0.01
    epochs: int = 5
    batch_size: int = 32


@dataclass(frozen=True)
class Setting:
    """What all rows of one comparison share.

    Attributes:
        spec: facts of the data.
        limit: bytes that a memory may store.
        most: bytes that it stores at most when all classes were seen.
        network: of strategies, and what is distilled on.
        steps: replaces the number of steps of methods.
        max_seconds: of each distillation.
        device: of everything.
    """

    spec: dd.Spec
    limit: MemoryBudget
    most: int
    network: Architecture
    steps: int | None = None
    max_seconds: float | None = None
    device: str | torch.device = "auto"

    def model(self, seed: int) -> torch.nn.Module:
        """Return a new network."""
        spec = self.spec
        built = self.network.build(spec.shape, spec.num_classes, seed=derive_seed(seed, "model"))
        return built.module

    def shared(self) -> dict[str, Any]:
        """Return the arguments of every strategy: metrics without a logger, device, batch size."""
        evaluator = EvaluationPlugin(accuracy_metrics(experience=True, stream=True), loggers=[BaseLogger()])
        return {"evaluator": evaluator, "device": resolve_device(self.device), "eval_mb_size": 256}

    def distilling(self, directory: Path | None) -> dict[str, Any]:
        """Return the arguments that every distilled memory takes."""
        return {
            "network": self.network,
            "steps": self.steps,
            "max_seconds": self.max_seconds,
            "directory": directory,
        }

    def memory(self, seed: int) -> dict[str, Any]:
        """Return the arguments of every buffer of summaries: its memory, and facts of the data."""
        spec = self.spec
        return {
            "memory": self.limit,
            "normalisation": spec.normalisation,
            "num_classes": spec.num_classes,
            "mirror": isinstance(spec, dd.images.ImageSpec) and spec.mirror,
            "seed": seed,
            "device": self.device,
        }


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
    """Compress-then-recall by a method; of a selection rule, the memory holds real images.

    Attributes:
        method: distils each experience.
        protocol: of recall.
        storage: of the memory.
    """

    method: str | dd.Method
    protocol: str | Protocol = "dc"
    storage: str = "uint8"

    @property
    def name(self) -> str:
        """Name of the method."""
        return Compression(self.method).name

    @property
    def memory_name(self) -> str:
        """Name that memories of this kind share."""
        return f"{self.name} {self.storage}"

    @property
    def replays(self) -> bool:
        """Whether a strategy that knows class ids alone can replay its examples."""
        return not Compression(self.method).learns_labels

    def buffer(self, setting: Setting, seed: int, directory: Path | None) -> DistilledBuffer:
        """Return the empty memory."""
        return DistilledBuffer(
            self.method, storage=self.storage, **setting.memory(seed), **setting.distilling(directory)
        )

    def strategy(self, setting: Setting, seed: int, directory: Path | None) -> tuple[Any, Memory | _RealImages]:
        """Return a new strategy, and its memory."""
        buffer = self.buffer(setting, seed, directory)
        recalling = CompressThenRecall(
            model=setting.model(seed), buffer=buffer, protocol=self.protocol, seed=seed, **setting.shared()
        )
        return recalling, buffer.memory


@dataclass(frozen=True)
class Replay:
    """Training goes on through the experiences; each batch has as many examples of the memory.

    Attributes:
        memory: a buffer by its name (`BUFFERS`, `ONLINE`), or a `Recall` whose distilled memory is
            replayed; None: no memory.
        training: of each experience.
    """

    memory: str | Recall | None
    training: ReplayTraining = ReplayTraining()

    @property
    def memory_name(self) -> str:
        """Name that memories of this kind share."""
        return self.memory.memory_name if isinstance(self.memory, Recall) else str(self.memory)

    def strategy(self, setting: Setting, seed: int, directory: Path | None) -> tuple[Any, Memory | _RealImages]:
        """Return a new strategy, and its memory."""
        image = original_bytes(setting.spec, 1)
        buffer: Any = None
        if isinstance(self.memory, Recall):
            buffer = self.memory.buffer(setting, seed, directory)
        elif self.memory == "composite-memory":
            buffer = CompositeMemoryBuffer(**setting.memory(seed), **setting.distilling(directory))
        elif self.memory == "sample-condensation":
            # What it keeps depends on the model in training, so no directory is searched for it.
            buffer = SampleCondensationBuffer(**setting.memory(seed))
        elif self.memory is not None:
            buffer = BUFFERS[self.memory](setting.most // image)
        model = setting.model(seed)
        how = self.training
        strategy = Naive(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=how.learning_rate, momentum=0.9),
            train_mb_size=how.batch_size,
            train_epochs=how.epochs,
            plugins=[] if buffer is None else [_Replay(mem_size=buffer.max_size, storage_policy=buffer)],
            **setting.shared(),
        )
        return strategy, buffer.memory if isinstance(buffer, SummaryBuffer) else _RealImages(buffer, image)
