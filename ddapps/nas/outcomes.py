"""What a comparison of proxies found."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from ddapps.nas.combination import Combination
from ddapps.nas.correlation import Interval, RankCorrelation, TauDifference
from ddapps.nas.truth import Truth
from ddcore.evaluation import Measured

ENOUGH = 10
"""Fewer architectures say little: a ranking by chance is often good, and intervals are narrow."""
NARROWEST = 34
"""Letters of the first column of a table, at least."""


@dataclass(frozen=True)
class Agreement:
    """How a proxy agrees with the truth on one split.

    Attributes:
        correlation: mean over repetitions.
        differences: name of another proxy -> this one's tau minus that one's.
    """

    correlation: RankCorrelation
    differences: Mapping[str, TauDifference]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON data."""
        found = self.correlation.to_json()
        return {
            **found,
            "regret_at_1": found["regret_at"].get("1"),
            "tau_minus": {name: difference.to_json() for name, difference in self.differences.items()},
        }


@dataclass(frozen=True)
class Row:
    """One proxy.

    Attributes:
        name: of the proxy.
        scores: repetitions x architectures.
        seconds: mean training and testing time of one architecture, for one score of it.
        making_seconds: of making what one score needs: distillation, or selection; a proxy is made
            once per space.
        test: with the truth on the test split: what is reported.
        validation: with that on the validation split: what a proxy is chosen by; None where the
            truth has none.
        better: as ``test``, among the better half of the architectures (`better_half`) alone; None
            where they are too few, or the scores tell none of them apart.
        pilot_seconds: of all that a pilot cost, its full trainings included; NaN where a table
            hides them.
        combinations: what was fitted on pilots, one per repetition; empty where nothing was.
    """

    name: str
    scores: Sequence[Sequence[float]]
    seconds: float
    making_seconds: float
    test: Agreement
    validation: Agreement | None
    better: Agreement | None = None
    pilot_seconds: float = 0.0
    combinations: tuple[Combination, ...] = ()

    @property
    def whole_seconds(self) -> float:
        """Time of everything that one ranking of these architectures took.

        Making the proxy, the pilot, and scoring every architecture. NaN where it is not known.
        """
        return self.making_seconds + self.pilot_seconds + len(self.scores[0]) * self.seconds

    @property
    def measured(self) -> Measured:
        """Tau with the truth on the test split, of every repetition."""
        return Measured(self.test.correlation.taus, "tau")


@dataclass(frozen=True)
class Ranking:
    """What `rank` found.

    Attributes:
        data, space: names.
        labels: of the architectures that are compared.
        truth: about them.
        rows: a proxy each.
        failed: architectures that are left out, and why.
        unranked: proxies that could not tell architectures apart, and why.
        equal_cost: name of a proxy -> names of random images at its whole cost.
    """

    data: str
    space: str
    labels: tuple[str, ...]
    truth: Truth
    rows: tuple[Row, ...]
    failed: Mapping[str, str]
    unranked: Mapping[str, str]
    equal_cost: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def speedup(self, row: Row) -> float | None:
        """Return the time of one full training over that of one score; None for a table's truth."""
        return None if self.truth.seconds is None else fmean(self.truth.seconds) / row.seconds

    def best(self, among: Collection[str] | None = None) -> Row | None:
        """Return the row with the largest tau on the validation split.

        None if the truth is known on the test split alone.

        Args:
            among: names of proxies; None: all that have a row.
        """
        rows = [row for row in self.rows if among is None or row.name in among]
        return max(rows, key=lambda row: _tau_to_choose_by(row), default=None) if self.truth.validation else None

    def warnings(self) -> list[str]:
        """Return what to know before the numbers are believed."""
        few = len(self.labels)
        if few >= ENOUGH:
            return []
        return [
            f"only {few} architectures are ranked: so few say nothing about a proxy, however large tau is and however narrow its "
            "interval; rank 20 or more"
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``ddapps nas rank --json`` writes."""
        ceiling, best = self.truth.ceiling_tau(), self.best()
        truth: dict[str, Any] = {
            "n": len(self.labels),
            "ceiling_tau": None if ceiling is None else round(ceiling, 4),
            "source": self.truth.source,
            "seconds_per_candidate": None if self.truth.seconds is None else round(fmean(self.truth.seconds), 3),
            "accuracies": self._by_label(self.truth.accuracies),
            "validation_accuracies": None if self.truth.validation is None else self._by_label(self.truth.validation),
        }
        return {
            "data": self.data,
            "space": self.space,
            "truth": truth,
            "results": [
                {"name": row.name, **row.measured.to_json(), "seconds": round(row.seconds, 3)} for row in self.rows
            ],
            "proxies": [self._row_json(row) for row in self.rows],
            "best_on_validation": None if best is None else best.name,
            "failed": dict(self.failed),
            "unranked": dict(self.unranked),
            "equal_cost": {name: list(others) for name, others in self.equal_cost.items()},
            "warnings": self.warnings(),
        }

    def _by_label(self, accuracies: Sequence[Sequence[float]]) -> dict[str, list[float]]:
        return {label: [round(run, 3) for run in runs] for label, runs in zip(self.labels, accuracies, strict=True)}

    def _row_json(self, row: Row) -> dict[str, Any]:
        speedup = self.speedup(row)
        return {
            "name": row.name,
            **row.test.to_json(),
            "validation": None if row.validation is None else row.validation.to_json(),
            "better_half": None if row.better is None else row.better.to_json(),
            "seconds_per_candidate": round(row.seconds, 4),
            "making_seconds": round(row.making_seconds, 2),
            "pilot_seconds": _known(row.pilot_seconds, 2),
            "whole_seconds": _known(row.whole_seconds, 2),
            "whole_seconds_per_candidate": _known(row.whole_seconds / len(self.labels), 3),
            "speedup": None if speedup is None else round(speedup, 2),
            "combinations": [combination.to_json() for combination in row.combinations],
            "scores": [[round(score, 4) for score in scores] for scores in row.scores],
        }

    def __str__(self) -> str:
        ceiling, means = self.truth.ceiling_tau(), self.truth.means
        wide = max(NARROWEST, *(len(row.name) for row in self.rows))
        lines = [
            f"{self.data}, space {self.space}, {len(self.labels)} architectures, true accuracy {min(means):.2f} to {max(means):.2f} %, "
            + ("ceiling of tau unknown (one run)" if ceiling is None else f"ceiling of tau {ceiling:.3f}"),
            f"{'proxy':<{wide}} {'to choose':>9} {'tau':>6} {'95 %':>15} {'better half':>11} {'95 %':>15} {'regret@1':>8} "
            f"{'s each':>7} {'s in all':>8} {'speed-up':>8}",
        ]
        for row in self.rows:
            found, speedup, better = row.test.correlation, self.speedup(row), row.better
            chosen = "" if row.validation is None else f"{row.validation.correlation.tau:.3f}"
            regret = found.regret_at.get(1)
            half = "" if better is None else f"{better.correlation.tau:.3f}"
            ends = "" if better is None else _words(better.correlation.tau_ci95)
            lines.append(
                f"{row.name:<{wide}} {chosen:>9} {found.tau:>6.3f} {_words(found.tau_ci95):>15} {half:>11} {ends:>15} "
                f"{'' if regret is None else f'{regret:.2f}':>8} {row.seconds:>7.2f} {_shown(row.whole_seconds):>8} "
                f"{'' if speedup is None else f'{speedup:.1f} x':>8}"
            )
        best, first = self.best(), self.rows[0]
        if best is None:
            lines.append(
                f"{self.truth.source} has accuracies on the test split alone: a proxy that is chosen by them is chosen by what is reported"
            )
        else:
            lines.append(f"to choose: tau on the validation split, best for {best.name}; the rest is on the test split")
        if first.test.differences:
            lines += ["", f"tau of {first.name}, minus that of another, 95 % (paired)"]
            lines += [
                f"{name:<{wide}} {d.difference:>+6.3f} {_words(d.ci95):>15}"
                for name, d in first.test.differences.items()
            ]
        lines += [f"at the whole cost of {name}: {', '.join(others)}" for name, others in self.equal_cost.items()]
        lines += [f"left out: {label}: {reason}" for label, reason in self.failed.items()]
        lines += [f"no row: {name}: {reason}" for name, reason in self.unranked.items()]
        lines += [f"warning: {warning}" for warning in self.warnings()]
        return "\n".join(lines)


def _tau_to_choose_by(row: Row) -> float:
    return -math.inf if row.validation is None else row.validation.correlation.tau


def _known(seconds: float, digits: int) -> float | None:
    return None if math.isnan(seconds) else round(seconds, digits)


def _shown(seconds: float) -> str:
    return "unknown" if math.isnan(seconds) else f"{seconds:.0f}"


def _words(interval: Interval) -> str:
    return f"[{interval[0]:.2f}, {interval[1]:.2f}]"
