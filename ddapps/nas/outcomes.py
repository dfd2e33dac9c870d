"""What a comparison of proxies found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ddapps.nas.correlation import Interval, RankCorrelation, TauDifference
from ddapps.nas.truth import Truth


@dataclass(frozen=True)
class Row:
    """One proxy.

    Attributes:
        name: of the proxy.
        scores: repetitions x architectures.
        seconds: mean training and testing time of one architecture, for one score of it.
        making_seconds: of making what one score needs: distillation, or selection; a proxy is made once per space.
        correlation: with the truth, mean over repetitions.
        differences: name of another proxy -> this one's tau minus that one's.
    """

    name: str
    scores: Sequence[Sequence[float]]
    seconds: float
    making_seconds: float
    correlation: RankCorrelation
    differences: Mapping[str, TauDifference]


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
    """

    data: str
    space: str
    labels: tuple[str, ...]
    truth: Truth
    rows: tuple[Row, ...]
    failed: Mapping[str, str]
    unranked: Mapping[str, str]

    def speedup(self, row: Row) -> float | None:
        """Return the time of one full training over that of one score; None where the truth was read from a table."""
        return None if self.truth.seconds is None else fmean(self.truth.seconds) / row.seconds

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``ddapps nas rank --json`` writes."""
        ceiling = self.truth.ceiling_tau()
        truth: dict[str, Any] = {
            "n": len(self.labels),
            "ceiling_tau": None if ceiling is None else round(ceiling, 4),
            "source": self.truth.source,
            "seconds_per_candidate": None if self.truth.seconds is None else round(fmean(self.truth.seconds), 3),
            "accuracies": {
                label: [round(run, 3) for run in runs]
                for label, runs in zip(self.labels, self.truth.accuracies, strict=True)
            },
        }
        return {
            "data": self.data,
            "space": self.space,
            "truth": truth,
            "proxies": [self._row_json(row) for row in self.rows],
            "failed": dict(self.failed),
            "unranked": dict(self.unranked),
        }

    def _row_json(self, row: Row) -> dict[str, Any]:
        speedup = self.speedup(row)
        found = row.correlation.to_json()
        return {
            "name": row.name,
            **found,
            "regret_at_1": found["regret_at"].get("1"),
            "seconds_per_candidate": round(row.seconds, 3),
            "making_seconds": round(row.making_seconds, 2),
            "speedup": None if speedup is None else round(speedup, 2),
            "tau_minus": {name: difference.to_json() for name, difference in row.differences.items()},
            "scores": [[round(score, 4) for score in scores] for scores in row.scores],
        }

    def __str__(self) -> str:
        ceiling, means = self.truth.ceiling_tau(), self.truth.means
        lines = [
            f"{self.data}, space {self.space}, {len(self.labels)} architectures, true accuracy {min(means):.2f} to {max(means):.2f} %, "
            + ("ceiling of tau unknown (one run)" if ceiling is None else f"ceiling of tau {ceiling:.3f}"),
            f"{'proxy':<34} {'tau':>6} {'95 %':>15} {'rho':>6} {'95 %':>15} {'regret@1':>8} {'s each':>7} {'speed-up':>8}",
        ]
        for row in self.rows:
            found, speedup = row.correlation, self.speedup(row)
            regret = found.regret_at.get(1)
            lines.append(
                f"{row.name:<34} {found.tau:>6.3f} {_words(found.tau_ci95):>15} {found.rho:>6.3f} {_words(found.rho_ci95):>15} "
                f"{'' if regret is None else f'{regret:.2f}':>8} {row.seconds:>7.2f} {'' if speedup is None else f'{speedup:.1f} x':>8}"
            )
        first = self.rows[0]
        if first.differences:
            lines += ["", f"tau of {first.name}, minus that of another, 95 % (paired)"]
            lines += [f"{name:<34} {d.difference:>+6.3f} {_words(d.ci95):>15}" for name, d in first.differences.items()]
        lines += [f"left out: {label}: {reason}" for label, reason in self.failed.items()]
        lines += [f"no row: {name}: {reason}" for name, reason in self.unranked.items()]
        return "\n".join(lines)


def _words(interval: Interval) -> str:
    return f"[{interval[0]:.2f}, {interval[1]:.2f}]"
