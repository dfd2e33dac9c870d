"""Everything that a page says of one summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ddcore.evaluation import Storage
from ddcore.report.course import Course
from ddcore.report.measured import Scores
from ddcore.summary import DataSummary


@dataclass(frozen=True, eq=False)
class Chapter:
    """One summary.

    Attributes:
        title: tells it from others of the page.
        summary: what it is.
        sizes: its bytes, and those of the original.
        measured: its scores.
        course: how its run went.
        command: what distills it again; None where no words say it.
        same_data: whether the data given are those of its record; None: the record does not say.
    """

    title: str
    summary: DataSummary
    sizes: Storage
    measured: Scores
    course: Course
    command: str | None
    same_data: bool | None

    def to_json(self) -> dict[str, Any]:
        """Return its facts as JSON data, without examples."""
        return {
            "title": self.title,
            "sha256": self.summary.sha256(),
            "storage": self.sizes.to_json(),
            "scores": self.measured.to_json(),
            "losses": [list(pair) for pair in self.course.losses],
            "snapshots": [step for step, _ in self.course.snapshots],
            "command": self.command,
            "same_data": self.same_data,
            "record": dict(self.summary.record),
        }
