"""What a comparison found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from ddapps.grids import edges
from ddcore.evaluation import Measured, sample_statistics
from ddcore.ground import shown


@dataclass(frozen=True)
class Outcome:
    """One strategy on one order of classes; accuracies in percent.

    Attributes:
        accuracies: on all classes seen, after each experience, or after the last alone.
        by_experience: after each of these, on each experience seen.
        memory_bytes: stored at the end.
        seconds: of the whole stream.
        chosen: how its method was chosen, if it was (`ddcore.MethodChoice.record`).
    """

    accuracies: tuple[float, ...]
    by_experience: tuple[tuple[float, ...], ...]
    memory_bytes: int
    seconds: float
    chosen: Mapping[str, Any] | None = None

    @property
    def forgetting(self) -> float | None:
        """How much the accuracy on an experience has fallen since it was learned.

        The mean over all experiences but the last; 0 of a single one; None if only the end was
        looked at.
        """
        last = self.by_experience[-1]
        if len(last) > len(self.accuracies):
            return None
        return fmean([self.by_experience[i][i] - now for i, now in enumerate(last[:-1])] or [0.0])


@dataclass(frozen=True)
class Row:
    """One strategy on several orders of classes.

    Attributes:
        name: of the strategy.
        outcomes: of each order.
        settings: of the strategy.
        at_edge: settings that were tuned and lie on the edge of their grid, which could not go on.
    """

    name: str
    outcomes: tuple[Outcome, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    at_edge: tuple[str, ...] = ()

    @property
    def final(self) -> tuple[float, ...]:
        """Accuracy over all classes after the last experience, of each order."""
        return tuple(outcome.accuracies[-1] for outcome in self.outcomes)

    @property
    def measured(self) -> Measured:
        """`final`, with its statistics."""
        return Measured(self.final)

    @property
    def average(self) -> Measured | None:
        """Mean of the accuracies after each experience, of each order.

        None if only the end was looked at.
        """
        if self.forgetting is None:
            return None
        return Measured(tuple(fmean(outcome.accuracies) for outcome in self.outcomes))

    @property
    def forgetting(self) -> float | None:
        """Mean of `Outcome.forgetting`."""
        each = [outcome.forgetting for outcome in self.outcomes if outcome.forgetting is not None]
        return fmean(each) if each else None

    @property
    def memory_bytes(self) -> int:
        """The most bytes that the memory stored at the end."""
        return max(outcome.memory_bytes for outcome in self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``results``."""
        after = zip(*(outcome.accuracies for outcome in self.outcomes), strict=True)
        return {
            "name": self.name,
            **self.measured.to_json(),
            "memory_bytes": self.memory_bytes,
            "final_accuracy": sample_statistics(self.final),
            "average_incremental_accuracy": None if self.average is None else sample_statistics(self.average.values),
            "forgetting": None if self.forgetting is None else round(self.forgetting, 3),
            "after_each_experience": [round(fmean(accuracies), 3) for accuracies in after],
            "seconds": round(sum(outcome.seconds for outcome in self.outcomes), 1),
            "settings": dict(self.settings),
            "at_edge": list(self.at_edge),
        } | ({"chosen": [outcome.chosen for outcome in self.outcomes]} if self.outcomes[0].chosen else {})


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        data: name of the data.
        tasks: experiences.
        memory_limit: bytes that no memory in a byte per number may exceed.
        network: of all strategies.
        rows: one per strategy.
    """

    data: str
    tasks: int
    memory_limit: int
    network: str
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``ddapps continual run --json`` writes."""
        facts = {name: getattr(self, name) for name in ("data", "tasks", "memory_limit", "network")}
        return {**facts, "results": [row.to_json() for row in self.rows]}

    def __str__(self) -> str:
        head = f"{self.data}, {self.tasks} experiences, memory of {self.memory_limit} bytes, {self.network}"
        columns = f"{'strategy':<30} {'bytes':>8} {'final %':>8} {'ci95':>6} {'average %':>10} {'forgetting':>11} {'seconds':>8}"
        lines = [head, columns]
        for row in self.rows:
            entry = row.to_json()
            final = row.measured
            lines.append(
                f"{row.name:<30} {row.memory_bytes:>8} {final.mean:>8.2f} {shown(final.ci95):>6} "
                f"{shown(None if row.average is None else row.average.mean):>10} {shown(row.forgetting):>11} {entry['seconds']:>8.1f}{edges(row.at_edge)}"
            )
        return "\n".join(lines)
