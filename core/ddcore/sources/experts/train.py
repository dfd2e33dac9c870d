"""Training experts into a buffer.

Training is resumable. Several experts take each step at once where that is faster, and several
processes train them where that is asked for.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ddcore.errors import CheckpointError, ExpertsError, NumericalError, UnsupportedError
from ddcore.ground.devices import check_precision, matmul_precision, usual_precision
from ddcore.ground.randomness import derive_seed, generator
from ddcore.ground.statefile import read_state, write_state
from ddcore.ground.workers import Workers
from ddcore.parts import Architecture, OneOf, suited_architecture, suited_augmentation
from ddcore.settings import describe, require_counts
from ddcore.sources.experts.buffer import ExpertBuffer
from ddcore.sources.experts.data import ExpertData
from ddcore.sources.experts.training import ExpertTraining, Together, worth_stacking

Progress = Callable[[str], None]
Trained = tuple[Sequence[int], Tensor, float]

NONE = Workers()
CHECKPOINT_SECONDS = 30.0
REPORT_SECONDS = 10.0


def train_experts(
    directory: Path,
    data: ExpertData,
    architecture: Architecture,
    training: ExpertTraining,
    *,
    count: int,
    seed: int,
    device: torch.device,
    precision: str | None = None,
    together: int | None = None,
    workers: Workers = NONE,
    progress: Progress | None = None,
) -> ExpertBuffer:
    """Train those of the experts 0 to ``count`` - 1 that the directory lacks.

    See `ddcore.train_experts`.
    """
    precision = precision or usual_precision(device)
    check_precision(precision, device)
    require_counts(count=count, together=1 if together is None else together)
    if isinstance(architecture, OneOf):
        raise UnsupportedError("experts share one architecture: train a directory of experts for each of the list")
    architecture = suited_architecture(architecture, data.spec)
    suited = replace(training, augmentation=suited_augmentation(training.augmentation, data.spec))
    job = _Job(directory, data, architecture, suited, seed, workers.device_of_call(device), precision)
    rows = isinstance(data.batch_of(torch.zeros(1, dtype=torch.int64)).inputs, Tensor)
    if not rows and (together or 1) > 1:
        raise UnsupportedError("experts on graphs take their steps one after the other: leave together out")
    stacked = rows and worth_stacking(job.module(0), device)
    buffer = ExpertBuffer(directory)
    buffer.begin(job.shared())
    missing = [number for number in range(count) if number not in buffer.present()]
    if not missing:
        return buffer
    if together is None:
        together = len(missing) if stacked else 1
    groups = [missing[first : first + together] for first in range(0, len(missing), together)]
    jobs = [(job.train, (group, None if workers else progress)) for group in groups]
    for _, (numbers, trajectories, seconds) in workers.calls(jobs, device):
        for number, trajectory in zip(numbers, trajectories, strict=True):
            buffer.add(number, trajectory, seconds / len(numbers), precision)
        job.partial(numbers).unlink(missing_ok=True)
        if progress is not None:
            progress(f"{len(buffer.present())} of {count} experts are trained")
    return buffer


@dataclass(frozen=True)
class _Job:
    """All that the experts of a buffer have in common."""

    directory: Path
    data: ExpertData
    architecture: Architecture
    training: ExpertTraining
    seed: int
    device: torch.device
    precision: str

    def shared(self) -> dict[str, Any]:
        return {
            "architecture": describe(self.architecture),
            "facts": self.data.facts(),
            "training": describe(self.training),
            "seed": self.seed,
        }

    def module(self, number: int) -> nn.Module:
        spec, drawn = self.data.spec, derive_seed(self.seed, "expert", number)
        network = self.architecture.pick(drawn).build(spec.shape, spec.num_classes, seed=drawn)
        random = any(isinstance(m, nn.modules.dropout._DropoutNd) for m in network.module.modules())
        if random or any(True for _ in network.module.buffers()):
            raise UnsupportedError(
                "experts are weights alone: a network with buffers (BatchNorm) or dropout cannot be one, use norm='instance'"
            )
        return network.module

    def partial(self, group: Sequence[int]) -> Path:
        digest = hashlib.sha256(repr(list(group)).encode()).hexdigest()[:12]
        return self.directory / f"partial-{digest}.safetensors"

    def train(self, group: Sequence[int], progress: Progress | None) -> Trained:
        """Train a group whose networks take each step at once.

        Returns:
            The numbers of the experts, their trajectories ``n x (epochs + 1) x P``, and the
            seconds that it took.
        """
        modules = [self.module(number).to(self.device) for number in group]
        networks = Together(modules, self.data.spec.task.loss("cross_entropy"))
        rows: list[Tensor] = [networks.flat()]
        partial, training = self.partial(group), self.training
        seconds = _resume(partial, networks, rows)
        started = saved = told = time.monotonic()
        for epoch in range(len(rows) - 1, training.epochs):
            with matmul_precision(self.precision, self.device):
                self._epoch(networks, group, epoch)
            rows.append(networks.flat())
            if not bool(torch.isfinite(rows[-1]).all()):
                raise NumericalError(f"the training of experts diverged in epoch {epoch}: lower its learning rate")
            now = time.monotonic()
            if progress is not None and now - told > REPORT_SECONDS:
                progress(f"experts {', '.join(map(str, group))}: epoch {epoch + 1} of {training.epochs}")
                told = now
            if now - saved > CHECKPOINT_SECONDS and epoch + 1 < training.epochs:
                state = {"rows": rows, "weights": networks.weights, "velocity": networks.velocity}
                write_state(partial, state | {"seconds": seconds + now - started})
                saved = now
        return group, torch.stack(rows, dim=1), seconds + time.monotonic() - started

    def _epoch(self, networks: Together, group: Sequence[int], epoch: int) -> None:
        training, data = self.training, self.data
        random = [generator(self.seed, "expert-epoch", number, epoch) for number in group]
        for _ in range(training.passes):
            orders = [torch.randperm(data.size, generator=g).split(training.batch_size) for g in random]
            for batches in zip(*orders, strict=True):
                views = [training.augmentation.draw(g, len(i)) for g, i in zip(random, batches, strict=True)]
                networks.take_step([view(data.batch_of(i)) for view, i in zip(views, batches, strict=True)], training)


def _resume(partial: Path, networks: Together, rows: list[Tensor]) -> float:
    """Take up the state of a killed training, if there is one. Return the seconds that it took."""
    if not partial.exists():
        return 0.0
    try:
        state = read_state(partial)
    except CheckpointError as error:
        raise ExpertsError(f"{partial} is damaged: delete it to train these experts again") from error
    rows[:] = state["rows"]
    held, saved = [*networks.weights, *networks.velocity], [*state["weights"], *state["velocity"]]
    with torch.no_grad():
        for ours, theirs in zip(held, saved, strict=True):
            ours.copy_(theirs)
    return float(state["seconds"])
