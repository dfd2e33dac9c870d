"""``combined:10(of=random:10)``: scores of one training and free ones, fitted on a pilot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ddapps.nas.candidates import Outcomes
from ddapps.nas.combination import FEATURES, SMALLEST, fit
from ddapps.nas.evaluator import COMBINED, features_of
from ddapps.nas.free import FREE
from ddapps.nas.measurement import Counted, Measurement
from ddapps.nas.proxies import parse_trained
from ddapps.nas.proxy import Proxy, Scored, TrainedProxy, bracketed, count_of, differing, trained_of
from ddapps.nas.search_space import Candidate
from ddapps.nas.trials import Plan, Trial
from ddcore.errors import UnknownNameError
from ddcore.settings import require, require_counts


@dataclass(frozen=True)
class CombinedProxy(Proxy):
    """Several scores of one training, and free ones, weighted so that a pilot is ranked rightly.

    The weights are fitted (`ddapps.nas.combination`) on the pilot's accuracies after full training,
    on the validation split. The pilot is drawn apart from what is ranked, and its cost is counted:
    full training, training on the proxy, counting.

    Attributes:
        pilot: architectures that are trained in full.
        of: name of the proxy whose trainings are used, such as ``dm:10(pool=20)``.
        using: scores that are combined, of `FEATURES`, with ``+`` between them.
        averaged: whether features are means over all seeds, with one pilot.
    """

    pilot: int = 10
    of: str = "random:10"
    using: str = "+".join(FEATURES)
    averaged: bool = False

    def __post_init__(self) -> None:
        require_counts(pilot=self.pilot)
        require(self.pilot >= SMALLEST, f"a pilot needs at least {SMALLEST} architectures, not {self.pilot}")
        for feature in self.features:
            if feature not in FEATURES:
                raise UnknownNameError("score to combine", feature, FEATURES)
        base = self.base
        require(
            base.score == "accuracy" and not base.averaged,
            f"{COMBINED} says score and averaged itself: leave them out of of={self.of}",
        )

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the scores that are combined."""
        return tuple(self.using.split("+"))

    @property
    def base(self) -> TrainedProxy:
        """The proxy whose trainings are used."""
        return parse_trained(self.of)

    @property
    def name(self) -> str:
        return bracketed(f"{COMBINED}:{self.pilot}", [f"of={self.of}", *differing(self, "using", "averaged")])

    def check(self, trial: Trial) -> None:
        self.base.check(trial)
        trial.pilot(self.pilot, trial.seeds[0])

    def plans(self, trial: Trial) -> list[Plan]:
        free = [kind for kind in FREE if kind in self.features]
        trainings = [self.base.training(trial, seed) for seed in trial.seeds] if set(self.features) - {*FREE} else []
        counts = [tuple(trial.counted(kind, seed) for kind in free) for seed in trial.seeds]
        if self.averaged:
            return [Plan(tuple(trainings), counts[0], trial.pilot(self.pilot, trial.seeds[0]))]
        return [
            Plan(tuple(trainings[place : place + 1]), counts[place], trial.pilot(self.pilot, seed))
            for place, seed in enumerate(trial.seeds)
        ]

    def scored(self, plan: Plan, outcomes: Outcomes, candidates: Sequence[Candidate]) -> Scored:
        assert plan.pilot is not None
        values, true, spent = [], [], 0.0
        for place, candidate in enumerate(plan.pilot.candidates):
            told = [outcomes[e.name][candidate].measured for e in plan.evaluations]
            full = None if plan.pilot.full is None else outcomes[plan.pilot.full.name][candidate].measured
            spent += sum(each.seconds for each in told if each is not None)
            spent += math.nan if plan.pilot.full is None else 0.0 if full is None else full.seconds
            if None in told or (plan.pilot.full is not None and full is None):
                continue  # one that failed cannot be learned from
            values.append(self._features(plan, outcomes, candidate))
            true.append(full.score("accuracy") if isinstance(full, Measurement) else plan.pilot.known[place])
        found = fit(self.features, values, true)
        scores = [found.score(self._features(plan, outcomes, candidate)) for candidate in candidates]
        seconds = [sum(told.seconds for told in _measured(plan, outcomes, candidate)) for candidate in candidates]
        return Scored(scores, fmean(seconds), spent, found)

    @staticmethod
    def _features(plan: Plan, outcomes: Outcomes, candidate: Candidate) -> dict[str, float]:
        free = {e.evaluator.kind: count_of(e, outcomes, candidate).value for e in plan.counts}  # type: ignore[union-attr]
        return features_of(trained_of(plan, outcomes, candidate), free)


def _measured(plan: Plan, outcomes: Outcomes, candidate: Candidate) -> list[Measurement | Counted]:
    """Return all that was measured of a candidate that did not fail."""
    return [*trained_of(plan, outcomes, candidate), *(count_of(each, outcomes, candidate) for each in plan.counts)]
