"""Networks that are teachers."""

from __future__ import annotations

from dataclasses import dataclass

from ddcore.parts import Networks, NetworkSource, Run
from ddcore.sources.fixed import InTurn
from ddcore.training import Teacher, require_teachers


@dataclass(frozen=True)
class Teachers(NetworkSource):
    """The given teachers, one per step in turn. They are copied, and trained no more.

    Attributes:
        teachers: one at least when a run starts.
    """

    teachers: tuple[Teacher, ...] = ()

    def asks(self) -> frozenset[str]:
        """Return ``teacher``: real examples answered when the teachers were trained."""
        return frozenset({"teacher"})

    def start(self, run: Run) -> Networks:
        require_teachers(self.teachers, run.spec)
        return InTurn([teacher.network(run.device, run.dtype) for teacher in self.teachers], run)
