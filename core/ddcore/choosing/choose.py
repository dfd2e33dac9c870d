"""``choose_method``: the composition that serves a data set best in so many bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ddcore.choosing.contest import Contest, Rung
from ddcore.choosing.finer import finer
from ddcore.choosing.portfolio import Candidate, portfolio
from ddcore.data import load_data
from ddcore.engine.distill import distill
from ddcore.engine.fitting import fitted
from ddcore.errors import BudgetError, SettingsError
from ddcore.evaluation import as_protocol
from ddcore.evaluation.learners import usual_learners
from ddcore.ground.devices import resolve_device
from ddcore.parts import Architecture, Method, TargetData, architecture_label, as_architecture, modality_named
from ddcore.settings import override, require, require_counts
from ddcore.summary import DataSummary
from ddcore.training import Protocol

HELD_OUT = 0.2
"""Share of the training split that is validated on where the data have no validation split."""
STORAGES_KEPT = 2
NARROW = 32
"""Width of the network that ranks candidates on a processor."""


@dataclass(frozen=True)
class MethodChoice:
    """A method that was chosen, and why.

    Attributes:
        name: of the candidate.
        method: with as many examples as the bytes hold, of the whole training split.
        nbytes: that it stores at most.
        rungs: what was tried, in order.
        refused: candidates that cannot serve such data or bytes, with the reason.
        validation_examples: on how many examples candidates were scored.
        seconds: of the whole choice.
        network: on which candidates were compared; None: learners.
        seed: of splits, distillation and networks.
        stopped_early: whether ``max_seconds`` ended it.
    """

    name: str
    method: Method
    nbytes: int
    rungs: tuple[Rung, ...]
    refused: Mapping[str, str]
    validation_examples: int
    seconds: float
    network: str | None
    seed: int
    stopped_early: bool = False

    @property
    def runner_up(self) -> str | None:
        """The best of those that were compared with the chosen one last, or None if none was."""
        last = self.rungs[-1]
        others = [name for name in last.scores if name != self.name]
        return max(others, key=last.mean) if others else None

    def record(self) -> dict[str, Any]:
        """Return the choice as JSON data. A summary's record holds it as ``chosen``."""
        last, second = self.rungs[-1], self.runner_up
        return {
            "chosen": self.name,
            "score": round(last.mean(self.name), 3),
            "runner_up": second,
            "runner_up_score": None if second is None else round(last.mean(second), 3),
            "bytes": self.nbytes,
            "seed": self.seed,
            "network": self.network,
            "validation_examples": self.validation_examples,
            "seconds": round(self.seconds, 1),
            "stopped_early": self.stopped_early,
            "rungs": [
                {
                    "updates": rung.updates,
                    "runs": rung.runs,
                    "seconds": round(rung.seconds, 1),
                    "scores": {name: [round(v, 3) for v in values] for name, values in rung.scores.items()},
                }
                for rung in self.rungs
            ],
            "refused": dict(self.refused),
        }

    def distill(self, target: TargetData, **options: Any) -> DataSummary:
        """Distill with the chosen method. The summary's record says how it was chosen.

        Args:
            target: the data.
            options: those of `ddcore.distill`.
        """
        return self.recorded(distill(target, self.method, **options))

    def recorded(self, summary: DataSummary) -> DataSummary:
        """Return a summary whose record says how its method was chosen."""
        return replace(summary, record={**summary.record, "chosen": self.record()})


def choose_method(
    target: TargetData | str | Path,
    *,
    nbytes: int,
    seed: int = 0,
    max_seconds: float | None = None,
    network: object = None,
    protocol: str | Protocol = "quick",
    candidates: Sequence[Candidate] | None = None,
    joint: bool = True,
    sample: bool = False,
    device: str | torch.device = "auto",
    progress: Callable[[str], None] | bool | None = None,
) -> MethodChoice:
    """Choose method, factorization and storage for so many bytes, by successive halving.

    Candidates are distilled, networks are trained on them, and scored on validation data. First
    random selection chooses the ways to store that go on; then the methods compete in these. In
    each rung the better half goes on, with more work (Jamieson & Talwalkar 2016, arXiv:1502.07943).
    Random selection stays to the end. Another method is taken only where its mean score is above
    that of random selection by more than the standard error of their paired difference, or its own
    if that is smaller. In the end the chosen one competes with itself under soft labels, which a
    teacher gives that was trained on the training split; they take their part of the bytes. It
    takes the same to be taken.

    Args:
        target: the data, their name or path. Its validation split decides; where it has none, a
            fifth of its training split, which the final method sees again. Its test split is never
            read.
        nbytes: most bytes that the summary stores.
        seed: of splits, distillation and networks.
        max_seconds: no candidate is begun after this time, and no distillation goes on. The best of
            those that were compared last is taken.
        network: that is trained, and that candidates are distilled on; default: the usual one of
            such data, on a processor no wider than `NARROW`.
        protocol: how networks are trained, but for the number of updates (`RUNGS`).
        candidates: to choose from; default: all of `portfolio`.
        joint: whether these are all classes of the task. Else, as of a client or an experience,
            methods that need all of them are left out, and few classes are cut into clusters, on
            whose finer task candidates are scored (`ddcore.choosing.finer`).
        sample: whether these are a small part of the data that the method is for. Bytes that hold
            all of a sample would say that fewer bytes per example are of no use: candidates compete
            for a half, a quarter, ... of the bytes, in which none of them stores everything.
        device: as in `ddcore.evaluate`.
        progress: as in `ddcore.evaluate`.

    Raises:
        BudgetError: no candidate fits so few bytes. The message says why.
        InputDataError: there are too few examples to hold some out.
        SettingsError: ``max_seconds`` passed before any candidate was scored.
    """
    require_counts(nbytes=nbytes)
    if isinstance(target, str | Path):
        target = load_data(target)
    split = target if target.validation is not None else target.with_validation(HELD_OUT, seed)
    if not joint:
        split = finer(split, seed)
    held_out = split.validation
    assert held_out is not None
    network = _usual(target, device) if network is None else network
    every = tuple(portfolio(target.spec, joint=joint).values() if candidates is None else candidates)
    require(len(every) > 0, "there is no candidate to choose from")
    contest = Contest(
        split,
        _unfilled(every, split, nbytes, seed) if sample else nbytes,
        seed=seed,
        network=network,
        protocol=as_protocol(protocol, None),
        device=device,
        max_seconds=max_seconds,
        progress=progress,
    )
    plain = [candidate for candidate in every if candidate.plain]
    ranked = len(plain) > STORAGES_KEPT
    stored = contest.halve(plain, STORAGES_KEPT) if ranked else plain
    storages = {candidate.storage for candidate in stored}
    others = [c for c in every if not c.plain and (not plain or c.joint or c.storage in storages)]
    final = [] if contest.late else contest.halve([*stored, *others], 1, always=stored[:1])
    if contest.late and ranked:
        final = final or stored  # the best of those that were compared last
    if not final and contest.late:
        raise SettingsError(
            f"no candidate was scored within {max_seconds:g} s: give max_seconds more, or fewer candidates"
        )
    if not final:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(contest.refused.items())[:3])
        raise BudgetError(f"no method of the portfolio stores {target.name} in {nbytes} bytes ({reasons})")
    beside = next((candidate for candidate in final if candidate.plain), final[0])
    chosen = final[0] if final[0].plain or contest.beats(final[0], beside) else beside
    if joint and network is not None and _may_be_labelled(target) and not contest.out_of_time():
        elsewhere = next((c for c in every if c.rule == chosen.rule and c.storage in storages - {chosen.storage}), None)
        best = contest.labelled([c for c in (chosen, elsewhere) if c is not None])
        if best and contest.beats(best[0], chosen):
            chosen = best[0]
    return MethodChoice(
        name=chosen.name,
        method=contest.sized(chosen, target, nbytes),
        nbytes=nbytes,
        rungs=tuple(contest.rungs),
        refused=contest.refused,
        validation_examples=len(held_out),
        seconds=contest.seconds,
        network=network if isinstance(network, str | None) else architecture_label(as_architecture(network)),
        seed=seed,
        stopped_early=contest.late,
    )


def _unfilled(candidates: Sequence[Candidate], target: TargetData, nbytes: int, seed: int) -> int:
    """Return the bytes, halved until no random selection stores more than half of the data."""
    for candidate in candidates:
        while candidate.plain and nbytes > 1:
            try:
                kept = fitted(candidate.build(), target, nbytes, seed=seed).factorization
            except BudgetError:
                break  # it does not serve
            if 2 * sum(kept.counts_for(target.counts()).values()) <= len(target.train):
                break
            nbytes //= 2
    return nbytes


def _may_be_labelled(target: TargetData) -> bool:
    """Whether a teacher can give each example a distribution over the classes."""
    return not target.spec.task.numeric and not target.spec.connected


def _usual(target: TargetData, device: str | torch.device) -> Architecture | None:
    """Return the usual network of such data, narrow on a processor; None for learners."""
    if usual_learners(target.spec):
        return None
    usual = modality_named(target.spec.modality).usual_network
    wide = getattr(usual, "width", 0) > NARROW
    return override(usual, "width", NARROW) if wide and resolve_device(device).type == "cpu" else usual
