"""What was measured for a comparison, and the ranking that follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from ddapps.nas.candidates import Evaluation, Outcome, Outcomes
from ddapps.nas.correlation import better_half, rank_correlation, require_ranking, tau_differences
from ddapps.nas.outcomes import Agreement, Ranking, Row
from ddapps.nas.proxy import Proxy, Scored
from ddapps.nas.search_space import Candidate
from ddapps.nas.trials import Plan
from ddapps.nas.truth import Truth
from ddcore.errors import InputDataError


@dataclass(frozen=True)
class Comparison:
    """What was measured of the architectures that are ranked.

    Attributes:
        candidates: the architectures.
        on_all: the evaluations that make the truth; empty where a table knows it.
        plans: proxies, and what each of their repetitions needed.
        outcomes: of every evaluation.
    """

    candidates: tuple[Candidate, ...]
    on_all: Sequence[Evaluation]
    plans: Mapping[Proxy, Sequence[Plan]]
    outcomes: Outcomes

    @cached_property
    def failed(self) -> dict[str, str]:
        """The architectures that a training failed on, and why: every row is about the same ones.

        A free score that cannot be counted costs no other row an architecture.
        """
        named = [("full training", evaluation) for evaluation in self.on_all]
        named += [(proxy.name, e) for proxy, plans in self.plans.items() for plan in plans for e in plan.trainings]
        found: dict[str, str] = {}
        for name, evaluation in named:
            for candidate in self.candidates:
                outcome = self.outcomes[evaluation.name][candidate]
                if outcome.measured is None:
                    found.setdefault(candidate.label, f"{name}: {outcome.failure}")
        return found

    @cached_property
    def sound(self) -> tuple[Candidate, ...]:
        """The architectures that no training failed on.

        Raises:
            InputDataError: they are fewer than three.
        """
        sound = tuple(candidate for candidate in self.candidates if candidate.label not in self.failed)
        if len(sound) < 3:
            reason = next(iter(self.failed.values()))
            raise InputDataError(
                f"only {len(sound)} of {len(self.candidates)} architectures could be trained: {reason}"
            )
        return sound

    def scored(self, proxy: Proxy) -> list[Scored]:
        """Return what each repetition of a proxy gave.

        Raises:
            InputDataError: they cannot rank.
        """
        found = [proxy.scored(plan, self.outcomes, self.sound) for plan in self.plans[proxy]]
        for each in found:
            require_ranking(each.scores, "proxy")
        return found

    def making_seconds(self, proxy: Proxy) -> float:
        """Return the mean time that it took to make what one score of a proxy needs."""
        return fmean(plan.making_seconds for plan in self.plans[proxy])

    def ranking(
        self,
        data: str,
        space: str,
        truth: Truth | None,
        top: Sequence[int],
        equal_cost: Mapping[str, tuple[str, ...]],
    ) -> Ranking:
        """Compare on the architectures that nothing failed on.

        Args:
            data: its name.
            space: its name.
            truth: of all candidates; None: what the evaluations ``on_all`` found.
            top: the values of k for precision and regret.
            equal_cost: name of a proxy -> names of its rivals.

        Raises:
            InputDataError: no proxy ranks them, or the truth does not.
        """
        places = [place for place, candidate in enumerate(self.candidates) if candidate in set(self.sound)]
        true = (truth or self._truth()).of(places)
        require_ranking(true.means, "true")
        if true.validation_means is not None:
            require_ranking(true.validation_means, "true validation")
        within = [k for k in top if k <= len(places)] or [1]
        scored: dict[Proxy, list[Scored]] = {}
        unranked = {}
        for proxy in self.plans:
            try:
                scored[proxy] = self.scored(proxy)
            except InputDataError as error:
                unranked[proxy.name] = str(error)
        if not scored:
            raise InputDataError(f"no proxy ranks these architectures: {next(iter(unranked.values()))}")
        scores = {proxy.name: [each.scores for each in found] for proxy, found in scored.items()}
        test = agreements(scores, true.means, within)
        better = agreements_of_some(scores, true.means, better_half(true.means), within)
        validation = None if true.validation_means is None else agreements(scores, true.validation_means, within)
        rows = tuple(
            Row(
                proxy.name,
                scores[proxy.name],
                fmean(each.seconds for each in found),
                self.making_seconds(proxy),
                test[proxy.name],
                None if validation is None else validation[proxy.name],
                better.get(proxy.name),
                fmean(each.pilot_seconds for each in found),
                tuple(each.combination for each in found if each.combination is not None),
            )
            for proxy, found in scored.items()
        )
        labels = tuple(candidate.label for candidate in self.sound)
        return Ranking(data, space, labels, true, rows, self.failed, unranked, equal_cost)

    def _truth(self) -> Truth:
        """Return the truth that full trainings found, candidates x seeds."""
        test, validation, seconds = (
            tuple(
                tuple(_number(self.outcomes[evaluation.name][candidate], name) for evaluation in self.on_all)
                for candidate in self.candidates
            )
            for name in ("test", "accuracy", "seconds")
        )
        return Truth("train", test, tuple(fmean(each) for each in seconds), validation)


def agreements(
    scores: Mapping[str, list[list[float]]], true: Sequence[float], top: Sequence[int]
) -> dict[str, Agreement]:
    """Return how each proxy agrees with true accuracies."""
    differences = tau_differences(scores, true)
    return {name: Agreement(rank_correlation(mine, true, top=top), differences[name]) for name, mine in scores.items()}


def agreements_of_some(
    scores: Mapping[str, list[list[float]]], true: Sequence[float], places: Sequence[int], top: Sequence[int]
) -> dict[str, Agreement]:
    """Return how each proxy agrees with the truth about some architectures.

    Proxies that cannot tell them apart have none, and nobody has where the truth cannot.
    """
    some = [true[place] for place in places]
    among = {name: [[each[place] for place in places] for each in mine] for name, mine in scores.items()}
    able = {name: mine for name, mine in among.items() if all(_tells_apart(each) for each in mine)}
    if not _tells_apart(some) or not able:
        return {}
    return agreements(able, some, [k for k in top if k <= len(some)] or [1])


def _tells_apart(scores: Sequence[float]) -> bool:
    return len(scores) >= 3 and len(set(scores)) > 1


def _number(outcome: Outcome, name: str) -> float:
    return math.nan if outcome.measured is None else float(getattr(outcome.measured, name))
