"""What an evaluation found, and exactly what was run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ddcore.evaluation.statistics import mean_std_ci95, sample_statistics


@dataclass(frozen=True)
class Result:
    """Test accuracies of one architecture.

    Attributes:
        network: the architecture's label.
        accuracies: in percent, one per run: final iterates.
        seconds: of training and testing, all runs together.
        parameters: number of weights.
    """

    network: str
    accuracies: tuple[float, ...]
    seconds: float
    parameters: int

    @cached_property
    def _statistics(self) -> tuple[float, float, float]:
        return mean_std_ci95(self.accuracies)

    @property
    def mean(self) -> float:
        """Mean accuracy, in percent."""
        return self._statistics[0]

    @property
    def std(self) -> float:
        """Sample standard deviation over runs, in points; NaN for one run."""
        return self._statistics[1]

    @property
    def ci95(self) -> float:
        """Half the width of the 95 % interval of the mean, in points; NaN for one run."""
        return self._statistics[2]

    def to_json(self) -> dict[str, Any]:
        """Return the documented entry of ``results``; what one run leaves undefined is null."""
        return {
            "network": self.network,
            **sample_statistics(self.accuracies),
            "seconds": round(self.seconds, 2),
            "accuracies": [round(a, 3) for a in self.accuracies],
            "parameters": self.parameters,
        }


@dataclass(frozen=True)
class Report:
    """Results of `evaluate`, an architecture each.

    Attributes:
        data, method, ipc, stored_bytes: what was evaluated.
        protocol: name of the protocol.
        results: one per architecture.
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

    def __str__(self) -> str:
        lines = [
            f"{self.method} of {self.data}, {self.ipc} per class, {self.stored_bytes} bytes, protocol {self.protocol}",
            f"{'network':<24} {'accuracy %':>10} {'std':>6} {'ci95':>6} {'runs':>5} {'seconds':>8}",
        ]
        lines += [
            f"{r.network:<24} {r.mean:>10.2f} {r.std:>6.2f} {r.ci95:>6.2f} {len(r.accuracies):>5} {r.seconds:>8.1f}"
            for r in self.results
        ]
        return "\n".join(lines)
