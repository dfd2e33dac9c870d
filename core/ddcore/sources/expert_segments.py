"""Segments of experts' trajectories: weights to start from, and weights to arrive at."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from torch import Tensor

from ddcore.errors import ExpertsError
from ddcore.ground.devices import together_to_device
from ddcore.parts import Architecture, Network, Networks, Run, Segments, SegmentSource, Usual, suited_architecture
from ddcore.settings import describe, require, require_counts
from ddcore.sources.experts.buffer import ExpertBuffer
from ddcore.sources.experts.data import ExpertData, facts_of
from ddcore.sources.experts.train import train_experts
from ddcore.sources.experts.training import ExpertTraining


@dataclass(frozen=True)
class ExpertSegments(SegmentSource):
    """Each step starts from a random expert at a random epoch, and aims at it some epochs later.

    Without a directory the experts are trained when the run starts, beside its checkpoint. A
    resumed run finds them there.

    Attributes:
        architecture: of the experts.
        length: epochs from start to target.
        first_start: the earliest epoch to start from.
        last_start: starts lie before this epoch.
        early_last_start: what ``last_start`` is at first, if it grows.
        growth: share of the run over which it grows.
        count: number of experts to train, or to use of a directory. There None means all.
        training: schedule of the experts that the run trains.
        directory: of experts that are there already, made by ``ddapps experts train``.
        mixed: whether the network stands at a random point of the straight line from start to
            target, not at the start.

    Source: Cazenavette et al. 2022 (arXiv:2203.11932), algorithm 1. For ``growth``: Guo et al. 2024
    (arXiv:2310.05773). For ``mixed``: Wang et al. 2025 (arXiv:2502.20653).
    """

    architecture: Architecture = field(default_factory=Usual)
    length: int = 2
    first_start: int = 0
    last_start: int = 20
    early_last_start: int | None = None
    growth: float = 0.0
    count: int | None = 100
    training: ExpertTraining = field(default_factory=ExpertTraining)
    directory: str | None = None
    mixed: bool = False

    def __post_init__(self) -> None:
        require_counts(length=self.length, last_start=self.last_start, count=1 if self.count is None else self.count)
        require(
            0 <= self.first_start < self.last_start,
            f"starts lie in [first_start, last_start), which is empty: [{self.first_start}, {self.last_start})",
        )
        require(0 <= self.growth <= 1, f"growth is a share of the run, in [0, 1], not {self.growth}")
        early = self.last_start if self.early_last_start is None else self.early_last_start
        require(
            self.first_start < early <= self.last_start,
            f"early_last_start must lie in (first_start, last_start], not be {early}",
        )
        require(self.directory is not None or self.count is not None, "say how many experts to train: count")

    def asks(self) -> frozenset[str]:
        return frozenset({"batch"})

    def start(self, run: Run) -> Networks:
        return _ExpertSegments(self, run)

    def describe(self) -> dict[str, Any]:
        """Record the settings.

        Experts of a directory are recorded by their hash. Where they lie is left out.
        """
        described = {f.name: describe(getattr(self, f.name)) for f in fields(self) if f.name != "directory"}
        if self.directory is not None:
            described["training"] = {"experts": _opened(self.directory).sha256()}
        return {"type": "ExpertSegments", **described}

    def require_epochs(self, epochs: int) -> None:
        """Raise `ExpertsError` if ``epochs`` of training are too few for the latest segment."""
        needed = self.last_start - 1 + self.length
        if epochs < needed:
            raise ExpertsError(
                f"starts before epoch {self.last_start} and segments of {self.length} need experts of {needed} epochs; these have "
                f"{epochs}: lower networks.last_start, or train longer (--epochs {needed}, or networks.training.epochs)"
            )

    def last_start_at(self, step: int, steps: int) -> int:
        """Return the epoch before which a segment starts, at ``step`` of ``steps``."""
        early, growing = self.early_last_start, self.growth * steps
        if early is None or step >= growing:
            return self.last_start
        return early + int((self.last_start - early) * step / growing)


class _ExpertSegments(Segments):
    def __init__(self, settings: ExpertSegments, run: Run) -> None:
        self._settings, self._run = settings, run
        self._architecture = suited_architecture(settings.architecture, run.spec)
        self._buffer = self._own(run) if settings.directory is None else self._given(settings.directory, run)
        self._numbers = self._buffer.present()[: settings.count]
        spec = run.spec
        architecture = self._architecture.pick(run.derive_seed("network", 0))
        self._network: Network = architecture.build(
            spec.shape, spec.num_classes, seed=run.derive_seed("network", 0), dtype=run.dtype
        ).to(run.device)
        self._network.requires_grad_(False)
        self._network.eval()
        self._sizes = [w.numel() for w in self._network.module.parameters()]
        self._pick(0)

    def _own(self, run: Run) -> ExpertBuffer:
        settings = self._settings
        assert settings.count is not None
        settings.require_epochs(settings.training.epochs)
        directory = run.beside_checkpoint("experts")
        if directory is None:
            directory = Path(mkdtemp(prefix="experts-"))
            weakref.finalize(self, shutil.rmtree, directory)
        return train_experts(
            directory,
            ExpertData.of_run(run),
            self._architecture,
            settings.training,
            count=settings.count,
            seed=run.derive_seed("experts"),
            device=run.device,
            precision=run.precision,
            progress=run.report,
        )

    def _given(self, place: str, run: Run) -> ExpertBuffer:
        buffer = _opened(place)
        buffer.require(
            {"architecture": describe(self._architecture), "facts": facts_of(run.spec, run.real.fingerprint())}
        )
        theirs, ours = buffer.shared["training"], self._settings.training
        for name in ("sharpness", "gap"):
            has, wanted = theirs.get(name), getattr(ours, name)
            if has != wanted:
                raise ExpertsError(
                    f"the experts in {place} were trained with {name} {has}, this method's are with {wanted}: train others "
                    f"(ddapps experts train --set {name}={wanted})"
                )
        self._settings.require_epochs(buffer.epochs)
        missing = (self._settings.count or 1) - len(buffer.present())
        if missing > 0:
            raise ExpertsError(
                f"{place} holds {len(buffer.present())} experts: train {missing} more, or set networks.count"
            )
        buffer.check()
        return buffer

    def _pick(self, step: int) -> None:
        """Take up the expert and the epoch of a step. They follow from (seed, step) alone."""
        settings, run = self._settings, self._run
        seed = run.derive_seed("segment", step)
        random = torch.Generator().manual_seed(seed)
        starts = settings.last_start_at(step, run.steps) - settings.first_start
        number = self._numbers[int(torch.randint(len(self._numbers), (1,), generator=random))]
        epoch = settings.first_start + int(torch.randint(starts, (1,), generator=random))
        rows = [self._checked(row) for row in self._buffer.rows(number, epoch, epoch + settings.length)]
        first, last = (self._unflatten(row) for row in together_to_device(rows, self._run.device))
        if settings.mixed:
            share = float(torch.rand((), generator=random))
            first = [torch.lerp(start, end, share) for start, end in zip(first, last, strict=True)]
        self._network.copy_weights(first)
        self._target = last
        self.episode, self.age = step, 0

    def _checked(self, row: Tensor) -> Tensor:
        if row.shape != (sum(self._sizes),) or not bool(torch.isfinite(row).all()):
            raise ExpertsError(
                f"an expert's weights are not {sum(self._sizes)} finite numbers, as the network has: train the experts again"
            )
        return row.to(self._run.dtype)

    def _unflatten(self, row: Tensor) -> list[Tensor]:
        held, parts = self._network.module.parameters(), row.split(self._sizes)
        return [part.view_as(weight) for part, weight in zip(parts, held, strict=True)]

    def current(self) -> Sequence[Network]:
        return (self._network,)

    def target(self) -> list[Tensor]:
        return self._target

    def advance(self) -> None:
        self._pick(self.episode + 1)

    def record(self) -> dict[str, Any]:
        facts = {"count": len(self._numbers), "epochs": self._buffer.epochs, "seconds": round(self._buffer.seconds, 3)}
        return {"experts": facts | {"sha256": self._buffer.sha256()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._pick(state["episode"])


def _opened(place: str) -> ExpertBuffer:
    buffer = ExpertBuffer(Path(place))
    if not buffer.present():
        raise ExpertsError(f"{place} holds no experts: train them (ddapps experts train DATA --out {place})")
    return buffer
