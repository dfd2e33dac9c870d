"""`Report`: what an evaluation found, and exactly what was run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ddcore import markup
from ddcore.evaluation.statistics import Measured, sample_statistics
from ddcore.ground import shown

NOT_SHARES = ("r2", "rmse")
"""Scores that are not shares, so not in percent."""


@dataclass(frozen=True)
class Result:
    """Test scores of one architecture, or of one estimator.

    Attributes:
        network: its label.
        scores: of every score, by name, one value per run. The main score is the first. Shares
            are in percent.
        seconds: of training and testing, all runs together.
        parameters: number of weights, or 0 if there are none.
    """

    network: str
    scores: Mapping[str, tuple[float, ...]]
    seconds: float
    parameters: int

    @property
    def score(self) -> str:
        """Name of the main score."""
        return next(iter(self.scores))

    @property
    def values(self) -> tuple[float, ...]:
        """The main score of every run, of its final iterate."""
        return self.scores[self.score]

    @property
    def accuracies(self) -> tuple[float, ...]:
        """Accuracy of every run, in percent."""
        return self.scores["accuracy"]

    @property
    def measured(self) -> Measured:
        """The main score of every run, with its statistics."""
        return Measured(self.values, self.score)

    @property
    def mean(self) -> float:
        """Mean of the main score."""
        return self.measured.mean

    @property
    def std(self) -> float:
        """Sample standard deviation over runs; NaN for one run."""
        return self.measured.std

    @property
    def ci95(self) -> float:
        """Half the width of the 95 % interval of the mean; NaN for one run."""
        return self.measured.ci95

    def to_json(self) -> dict[str, Any]:
        """Return the documented entry of ``results``. What one run leaves undefined is null."""
        others = {name: sample_statistics(values) for name, values in self.scores.items()}
        for statistics in others.values():
            del statistics["runs"]
        every = {"accuracies": [round(a, 3) for a in self.accuracies]} if "accuracy" in self.scores else {}
        return {
            "name": self.network,
            "network": self.network,
            **self.measured.to_json(),
            "scores": others,
            "seconds": round(self.seconds, 2),
            **every,
            "parameters": self.parameters,
        }


@dataclass(frozen=True)
class Report:
    """Results of an evaluation.

    Attributes:
        data, method, ipc, stored_bytes: what was evaluated.
        protocol: name of the protocol.
        results: one per architecture, estimator or kernel.
        details: schedule, recipe, normalisation, label kind, seeds, device and versions.
    """

    data: str
    method: str
    ipc: float
    stored_bytes: int
    protocol: str
    results: tuple[Result, ...]
    details: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``ddapps evaluate --json`` writes (docs/cli.md)."""
        return {
            "data": self.data,
            "method": self.method,
            "ipc": self.ipc,
            "stored_bytes": self.stored_bytes,
            "protocol": self.protocol,
            "results": [r.to_json() for r in self.results],
            "details": dict(self.details),
        }

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the results as a table."""
        head = ("network", score_title(self.results), "std", "runs", "seconds")
        rows = [
            (r.network, str(r.measured), shown(r.std), str(len(r.values)), f"{r.seconds:.1f}") for r in self.results
        ]
        facts = f"{self.ipc} per class, {self.stored_bytes} bytes, protocol {self.protocol}"
        return markup.card(f"{self.method} of {self.data}", facts, markup.table(head, rows))

    def __str__(self) -> str:
        width = max(24, *(len(r.network) for r in self.results))
        lines = [
            f"{self.method} of {self.data}, {self.ipc} per class, {self.stored_bytes} bytes, protocol {self.protocol}",
            f"{'network':<{width}} {score_title(self.results):>10} {'std':>6} {'ci95':>6} {'runs':>5} {'seconds':>8}",
        ]
        lines += [
            f"{r.network:<{width}} {r.mean:>10.2f} {shown(r.std):>6} {shown(r.ci95):>6} {len(r.values):>5} {r.seconds:>8.1f}"
            for r in self.results
        ]
        return "\n".join(lines)


def score_title(results: Sequence[Result]) -> str:
    """Return the name of the main score, with its unit, as a column's title."""
    score = results[0].score if results else "accuracy"
    return score if score in NOT_SHARES else f"{score} %"
