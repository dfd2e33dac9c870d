"""What all rows of a comparison share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.logging import BaseLogger
from avalanche.training.plugins import EvaluationPlugin

import ddcore as dd
from ddapps.continual.budget import MemoryBudget
from ddapps.continual.pace import Shown
from ddcore.ground import derive_seed, resolve_device
from ddcore.parts import Architecture


@dataclass(frozen=True)
class Setting:
    """What all rows of one comparison share.

    Attributes:
        spec: facts of the data.
        limit: bytes that a memory may store.
        most: bytes that it stores at most when all classes were seen.
        network: of strategies, and what is distilled on.
        steps: replaces the number of steps of methods.
        max_seconds: of the distillations of each experience.
        device: of everything.
        progress: what hears how long distillations take.
    """

    spec: dd.Spec
    limit: MemoryBudget
    most: int
    network: Architecture
    steps: int | None = None
    max_seconds: float | None = None
    device: str | torch.device = "auto"
    progress: Shown = field(default=False, compare=False)

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
            "progress": self.progress,
        }

    def data(self) -> dict[str, Any]:
        """Return what every buffer of summaries is told of the data."""
        spec = self.spec
        return {
            "normalisation": spec.normalisation,
            "num_classes": spec.num_classes,
            "mirror": isinstance(spec, dd.images.ImageSpec) and spec.mirror,
        }
