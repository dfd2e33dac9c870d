"""What a comparison measures for a proxy: which trainings, which counts, on which pilot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ddcore as dd
from ddapps.nas.bench import Bench
from ddapps.nas.candidates import Evaluation
from ddapps.nas.evaluator import ProxyEvaluator
from ddapps.nas.free import DRAWN, FreeEvaluator
from ddapps.nas.search_space import Candidate
from ddapps.nas.truth import Table
from ddcore.evaluation import Protocol
from ddcore.ground import derive_seed


@dataclass(frozen=True)
class Pilot:
    """A few architectures whose true accuracy is paid for; none of them is ranked.

    Attributes:
        candidates: the architectures.
        full: the full training of each, scored on the validation split; None: a table knows.
        known: accuracy of each by a table; empty where they are trained.
    """

    candidates: tuple[Candidate, ...]
    full: Evaluation | None
    known: tuple[float, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What one score of a proxy needs.

    Attributes:
        trainings: on what the proxy made; the score is a mean over them.
        counts: of free scores.
        pilot: what it is fitted on; None: nothing is.
    """

    trainings: tuple[Evaluation, ...] = ()
    counts: tuple[Evaluation, ...] = ()
    pilot: Pilot | None = None

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """All that is measured of every architecture."""
        return (*self.trainings, *self.counts)

    @property
    def making_seconds(self) -> float:
        """Time that was spent on making what candidates are trained on."""
        evaluators = [e.evaluator for e in self.trainings if isinstance(e.evaluator, ProxyEvaluator)]
        made = [proxy for evaluator in evaluators for proxy in evaluator.proxies]
        return sum(float(each.record.get("seconds") or 0) for each in made if isinstance(each, dd.DataSummary))

    def jobs(self, candidates: Sequence[Candidate]) -> list[tuple[Evaluation, Sequence[Candidate]]]:
        """Return the evaluations, each with what it measures."""
        if self.pilot is None:
            return [(evaluation, candidates) for evaluation in self.evaluations]
        measured = [*candidates, *self.pilot.candidates]
        truth = [] if self.pilot.full is None else [(self.pilot.full, self.pilot.candidates)]
        return [*((evaluation, measured) for evaluation in self.evaluations), *truth]


@dataclass(frozen=True)
class Trial:
    """One comparison, before anything is measured.

    Attributes:
        bench: data, space and summaries.
        seeds: one per repetition.
        protocol: of training on a proxy.
        full: of training on the full data.
        candidates: the architectures that are ranked.
        table: where true accuracies are known from; None: they are trained.
    """

    bench: Bench
    seeds: range
    protocol: Protocol
    full: Protocol
    candidates: tuple[Candidate, ...]
    table: Table | None = None
    _made: dict[str, Evaluation] = field(default_factory=dict, repr=False, compare=False)

    def truth(self) -> list[Evaluation]:
        """Return the evaluations that make the truth, one per seed, each on both splits.

        There are none where a table knows it.
        """
        if self.table is not None:
            return []
        return [self._full(f"truth on both splits {seed}", seed, also_test=True) for seed in self.seeds]

    def trained(self, data: Any, name: str, protocol: Protocol, seed: int, score: str) -> Evaluation:
        """Return the evaluation by a training on ``data``.

        Weights and order differ from full training: what chance does to the truth must not help a
        proxy. A score that needs no curve shares its trainings with others on the same data.
        """
        kind = score if score == "area" else "accuracy"
        target, device = self.bench.target, self.bench.device
        evaluator = ProxyEvaluator(data, target, protocol, score=kind, seed=derive_seed(seed, "proxy"), device=device)
        return self._once(Evaluation(f"{name} {seed}" + (" area" if kind == "area" else ""), evaluator))

    def counted(self, kind: str, seed: int) -> Evaluation:
        """Return the evaluation of a free score; one serves all seeds where it draws nothing."""
        drawn = kind in DRAWN
        seed = derive_seed(seed, "proxy") if drawn else 0
        evaluator = FreeEvaluator(kind, self.bench.target, seed, self.bench.device)
        return self._once(Evaluation(f"{kind} {seed}" if drawn else kind, evaluator))

    def pilot(self, count: int, seed: int) -> Pilot:
        """Return architectures to fit on, none of which is ranked.

        Raises:
            SettingsError: the space or the table has too few.
        """
        if self.table is not None:
            drawn, known = self.table.others(count, seed, self.candidates)
            return Pilot(drawn, None, tuple(known))
        drawn = self.bench.space.others(count, seed, self.candidates)
        return Pilot(drawn, self._once(self._full(f"truth of the pilot {seed}", derive_seed(seed, "pilot"))))

    def _full(self, name: str, seed: int, also_test: bool = False) -> Evaluation:
        target, device = self.bench.target, self.bench.device
        return Evaluation(
            name, ProxyEvaluator(target, target, self.full, seed=seed, device=device, also_test=also_test)
        )

    def _once(self, evaluation: Evaluation) -> Evaluation:
        """Return the evaluation of this name that was made first: its facts are hashed once."""
        return self._made.setdefault(evaluation.name, evaluation)
