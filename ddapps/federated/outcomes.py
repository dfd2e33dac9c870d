"""What a comparison found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from ddapps.grids import edges
from ddcore.evaluation import Measured, sample_statistics
from ddcore.ground import counted, shown


@dataclass(frozen=True)
class Course:
    """One run: after each round, accuracy in percent, and the bytes so far.

    Attributes:
        accuracies: of the global model.
        bytes_up, bytes_down: of all rounds up to this one.
        seconds: of the whole run.
        rejected: replies that did not count.
    """

    accuracies: tuple[float, ...]
    bytes_up: tuple[int, ...]
    bytes_down: tuple[int, ...]
    seconds: float
    rejected: int = 0

    @classmethod
    def of(cls, history: Sequence[Mapping[str, Any]], seconds: float, rejected: int = 0) -> Course:
        """Return the course of a run's history; before anything has come, rounds are at 0 %."""
        up, down, total_up, total_down = [], [], 0, 0
        for entry in history:
            total_up += int(entry["bytes_up"])
            total_down += int(entry["bytes_down"])
            up.append(total_up)
            down.append(total_down)
        accuracies = tuple(float(entry["accuracy"] or 0.0) for entry in history)
        return cls(accuracies, tuple(up), tuple(down), seconds, rejected)

    @property
    def total(self) -> tuple[int, ...]:
        """Bytes in both directions, after each round."""
        return tuple(up + down for up, down in zip(self.bytes_up, self.bytes_down, strict=True))

    def bytes_to_reach(self, accuracy: float) -> int | None:
        """Return the bytes, both ways, of the rounds up to an accuracy; None if none has it."""
        return next((b for a, b in zip(self.accuracies, self.total, strict=True) if a >= accuracy), None)


@dataclass(frozen=True)
class Row:
    """One way of learning on several partitions.

    Attributes:
        name: of the way.
        courses: of each partition.
        settings: of the runs.
        at_edge: settings that were tuned and lie on the edge of their grid, which could not go on.
    """

    name: str
    courses: tuple[Course, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    at_edge: tuple[str, ...] = ()

    @property
    def final(self) -> tuple[float, ...]:
        """Accuracy after the last round, of each partition."""
        return tuple(course.accuracies[-1] for course in self.courses)

    @property
    def measured(self) -> Measured:
        """`final`, with its statistics."""
        return Measured(self.final)

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``results``; bytes and seconds are means over partitions."""
        return {
            "name": self.name,
            **self.measured.to_json(),
            "rounds": max(len(course.accuracies) for course in self.courses),
            "accuracy": sample_statistics(self.final),
            "bytes_up": round(fmean(course.bytes_up[-1] for course in self.courses)),
            "bytes_down": round(fmean(course.bytes_down[-1] for course in self.courses)),
            "seconds": round(fmean(course.seconds for course in self.courses), 1),
            "rejected": sum(course.rejected for course in self.courses),
            "settings": dict(self.settings),
            "at_edge": list(self.at_edge),
            "courses": [
                {"accuracy": [round(a, 3) for a in course.accuracies], "bytes": list(course.total)}
                for course in self.courses
            ],
        }


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        data: name of the data.
        clients: how many.
        alpha: of the Dirichlet distribution of classes.
        rows: the first is what bytes are compared with.
    """

    data: str
    clients: int
    alpha: float
    rows: tuple[Row, ...]

    def bytes_to_reach(self) -> dict[str, list[int | None]]:
        """Return, for every row, the bytes to the first row's accuracy on the same partition."""
        wanted = self.rows[0].final
        return {
            row.name: [course.bytes_to_reach(a) for course, a in zip(row.courses, wanted, strict=True)]
            for row in self.rows
        }

    def ratios(self) -> dict[str, list[float]]:
        """Return `bytes_to_reach` over the first row's bytes, where a row got there."""
        first = [course.total[-1] for course in self.rows[0].courses]
        reached = self.bytes_to_reach()
        return {
            name: [b / f for b, f in zip(each, first, strict=True) if b is not None] for name, each in reached.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``ddapps federated run --json`` writes."""
        reached = self.bytes_to_reach()
        results = [{**row.to_json(), "bytes_to_reach_the_first": reached[row.name]} for row in self.rows]
        return {"data": self.data, "clients": self.clients, "alpha": self.alpha, "results": results}

    def __str__(self) -> str:
        ratios, partitions = self.ratios(), len(self.rows[0].courses)
        head = f"{self.data}, {self.clients} clients, Dirichlet({self.alpha:g}), {counted(partitions, 'partition')}"
        columns = f"{'':<22} {'rounds':>6} {'accuracy %':>10} {'ci95':>6} {'kB up':>9} {'kB down':>9} {'seconds':>8}  bytes to reach the first row"
        lines = [head, columns]
        for row in self.rows:
            entry = row.to_json()
            lines.append(
                f"{row.name:<22} {entry['rounds']:>6} {row.measured.mean:>10.2f} {shown(row.measured.ci95):>6} {entry['bytes_up'] / 1000:>9.1f} "
                f"{entry['bytes_down'] / 1000:>9.1f} {entry['seconds']:>8.1f}  {_times(ratios[row.name], partitions)}"
                + edges(row.at_edge)
            )
        return "\n".join(lines)


def _times(ratios: Sequence[float], partitions: int) -> str:
    """Return the mean of ratios in words."""
    if not ratios:
        return "never"
    missing = partitions - len(ratios)
    return f"{fmean(ratios):.1f} times" + (f", {missing} of {partitions} never" if missing else "")
