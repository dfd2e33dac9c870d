"""Small summaries with what a run leaves beside them, and a protocol that takes no time."""

from __future__ import annotations

import math
from pathlib import Path

import ddcore as dd
from ddcore.training import PROTOCOLS
from tests.running import shrunk

SHORT = PROTOCOLS["quick"].with_epochs(2)
NETWORK = "mlp(width=4)"


def distilled(target: dd.TargetData, place: Path, *, steps: int = 4, ipc: int = 2, losses: int = 300) -> Path:
    """Distill, and leave losses and two snapshots beside the summary."""
    summary = dd.distill(target, shrunk("dm", ipc=ipc, steps=steps), callbacks=[_Keeping(place)])
    summary.save(place)
    lines = [f"{step},{1 + 100 * math.exp(-step / 40):.6f},{step / 10:.1f}" for step in range(1, losses + 1)]
    (place / "progress.csv").write_text("\n".join(["step,loss,seconds", *lines]) + "\n")
    return place


class _Keeping:
    """Keeps the states of the second and the last step, as ``--snapshots`` does."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __call__(self, progress: dd.Progress) -> None:
        if progress.step in (2, progress.steps):
            progress.snapshot().save(self.place / "snapshots" / f"{progress.step:08d}")


def page_of(summaries: object, target: object, **settings: object) -> dd.Page:
    given = {"networks": NETWORK, "protocol": SHORT, "runs": 2, "device": "cpu", **settings}
    return dd.report(summaries, target, **given)  # type: ignore[arg-type]
