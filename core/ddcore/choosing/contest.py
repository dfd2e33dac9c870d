"""Successive halving of candidates on validation data."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory

import torch

from ddcore.choosing.portfolio import Candidate
from ddcore.engine.distill import distill
from ddcore.engine.fitting import fitted
from ddcore.engine.teacher import TEACHING, train_teacher
from ddcore.errors import BudgetError, NumericalError, SettingsError, UnsupportedError
from ddcore.evaluation.evaluate import evaluate
from ddcore.ground.tally import Tally, sayer
from ddcore.parts import Method, TargetData
from ddcore.summary import DataSummary
from ddcore.training import Protocol

RUNGS = ((200, 0.15, 1), (400, 0.3, 1), (400, 1.0, 3))
"""Per rung: updates of a training, share of a matching's steps, and networks, each on examples of
its own seed: draws differ as much as methods do.

After 100 updates methods do not stand in the order that they have after 400: on MNIST `KCenter` is
among the last then, and among the first later.
"""
BATCH = 64
TEACHING_UPDATES = 1500
REFUSALS = (BudgetError, SettingsError, UnsupportedError, NumericalError)


@dataclass(frozen=True)
class Rung:
    """One round.

    Attributes:
        updates, runs: of the trainings that scored it.
        scores: per candidate, the score of each network on validation data.
        seconds: that it took.
    """

    updates: int
    runs: int
    scores: Mapping[str, tuple[float, ...]]
    seconds: float

    def mean(self, name: str) -> float:
        """Return a candidate's mean score."""
        return statistics.fmean(self.scores[name])


class Contest:
    """Scores candidates on the validation split of ``target``.

    Attributes:
        rungs: those that are done.
        refused: candidates that cannot serve these data or bytes, with the reason.
        late: whether time ran out.
    """

    def __init__(
        self,
        target: TargetData,
        nbytes: int,
        *,
        seed: int,
        network: object,
        protocol: Protocol,
        device: str | torch.device,
        max_seconds: float | None,
        progress: Callable[[str], None] | bool | None,
    ) -> None:
        self._target, self._nbytes, self._seed = target, nbytes, seed
        self._network, self._protocol, self._device = network, protocol, device
        self._max_seconds, self._started = max_seconds, time.monotonic()
        self._tally = Tally(sayer(progress), 0, "candidates")
        self._methods: dict[str, Method] = {}
        self._selected: dict[tuple[str, int], DataSummary] = {}
        self.rungs: list[Rung] = []
        self.refused: dict[str, str] = {}
        self.late = False

    @property
    def seconds(self) -> float:
        """Seconds since the contest began."""
        return time.monotonic() - self._started

    def halve(self, candidates: Sequence[Candidate], kept: int, always: Sequence[Candidate] = ()) -> list[Candidate]:
        """Return the best candidates, the best first.

        Args:
            candidates: that compete.
            kept: how many are returned, ``always`` not counted.
            always: those of them that go through all rungs, and stand at the end of the result if
                they are not among the best.
        """
        standing, compared = list(candidates), False
        for place, (updates, share, runs) in enumerate(RUNGS):
            last = place == len(RUNGS) - 1
            if len(standing) <= kept + len(always) and not last:
                continue
            scored = self._rung(standing, updates, share, runs)
            if self.late and compared:
                break  # it is incomplete: the one before counts
            if scored.scores:
                self.rungs.append(scored)
            compared = True
            standing = sorted((c for c in standing if c.name in scored.scores), key=lambda c: -scored.mean(c.name))
            best = standing[: kept if last else max(kept, math.ceil(len(standing) / 2))]
            standing = best + [c for c in always if c not in best and c.name in scored.scores]
            if self.late:
                break
        return standing

    def labelled(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Score candidates once more, under the labels of a teacher. Return them, the best first.

        The teacher is trained on the training split that is left, with `TEACHING_UPDATES`. The last
        rung gets their scores: its other ones are of as many updates and networks. None is returned
        where the teacher's training diverges.
        """
        started = time.monotonic()
        training = replace(TEACHING, updates={1: TEACHING_UPDATES}, batch_size=BATCH)
        with TemporaryDirectory() as place:
            try:
                teacher = train_teacher(
                    self._target, place, network=self._network, training=training, seed=self._seed, device=self._device
                )
            except NumericalError:
                return []
        named = [candidate.labelled(teacher) for candidate in candidates]
        found = self._rung(named, *RUNGS[-1])
        last = self.rungs[-1]
        seconds = last.seconds + time.monotonic() - started
        self.rungs[-1] = replace(last, scores={**last.scores, **found.scores}, seconds=seconds)
        return sorted((c for c in named if c.name in found.scores), key=lambda c: -found.mean(c.name))

    def out_of_time(self) -> bool:
        """Whether ``max_seconds`` have passed, or had before. Then nothing more is begun."""
        self.late = self.late or (self._max_seconds is not None and self.seconds > self._max_seconds)
        return self.late

    def sized(self, candidate: Candidate, target: TargetData, nbytes: int) -> Method:
        """Return the candidate's method on the network, with as many examples as the bytes hold."""
        method = fitted(candidate.build(), target, nbytes, seed=self._seed)
        return (method if self._network is None else method.on_networks(self._network)).suited_to(target.spec)

    def beats(self, one: Candidate, other: Candidate) -> bool:
        """Whether one is clearly above another, or the other was not scored last."""
        scores = self.rungs[-1].scores
        if one.name not in scores or other.name not in scores:
            return other.name not in scores
        return clearly_above(scores[one.name], scores[other.name])

    def _rung(self, standing: Sequence[Candidate], updates: int, share: float, runs: int) -> Rung:
        started, scores = time.monotonic(), {}
        self._tally.expect(len(standing))
        for candidate in standing:
            if self.out_of_time():
                break
            try:
                scores[candidate.name] = self._score(candidate, updates, share, runs)
            except REFUSALS as error:
                self.refused[candidate.name] = str(error)
                self._tally.done(f"{candidate.name} does not serve")
            else:
                self._tally.done(f"{candidate.name} {statistics.fmean(scores[candidate.name]):.2f}")
        return Rung(updates, runs, scores, time.monotonic() - started)

    def _score(self, candidate: Candidate, updates: int, share: float, runs: int) -> tuple[float, ...]:
        if candidate.name not in self._methods:
            self._methods[candidate.name] = self.sized(candidate, self._target, self._nbytes)
        training = replace(self._protocol.training, updates={1: updates}, batch_size=BATCH)
        protocol = replace(self._protocol, name=f"{self._protocol.name}[updates={updates}]", training=training)
        seeds = range(self._seed, self._seed + runs)
        return tuple(self._reached(self._summary(candidate.name, share, seed), protocol, seed) for seed in seeds)

    def _reached(self, summary: DataSummary, protocol: Protocol, seed: int) -> float:
        """Return the score of a network on validation data."""
        report = evaluate(
            summary,
            self._target,
            networks=self._network,
            protocol=protocol,
            runs=1,
            seed=seed,
            device=self._device,
            split="validation",
        )
        return report.results[0].values[0]

    def _summary(self, name: str, share: float, seed: int) -> DataSummary:
        """Distil by a candidate. What is selected by a seed is selected once."""
        if (name, seed) in self._selected:
            return self._selected[name, seed]
        method = self._methods[name]
        selects = method.matching is None
        summary = distill(
            self._target,
            method,
            seed=seed,
            steps=method.steps if selects else max(1, round(share * method.steps)),
            max_seconds=None if self._max_seconds is None else max(self._max_seconds - self.seconds, 0.0),
            device=self._device,
            progress=False,
        )
        if selects:
            self._selected[name, seed] = summary
        return summary


def clearly_above(scores: Sequence[float], others: Sequence[float]) -> bool:
    """Whether scores are above others by more than the standard error of the difference.

    The difference is paired, run by run. Where the scores scatter less than that, their own
    standard error counts: that the others scatter does not speak for the others. Of a single pair
    any difference counts.
    """
    differences = [one - other for one, other in zip(scores, others, strict=True)]
    return statistics.fmean(differences) > min(_standard_error(differences), _standard_error(scores))


def _standard_error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
