"""How a run went: the loss of its steps, and states that it kept on the way."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ddcore.callbacks import HEADER, PROGRESS, SNAPSHOTS, spread
from ddcore.errors import SummaryFormatError
from ddcore.ground.tensorfile import read_limited
from ddcore.summary import DataSummary

MAX_PROGRESS = 2**26
MAX_SHOWN = 12
POINTS = 240


@dataclass(frozen=True)
class Course:
    """What a run left beside its summary.

    Attributes:
        losses: step and loss, ascending. Empty: none were kept.
        snapshots: step and state, ascending.
    """

    losses: tuple[tuple[int, float], ...] = ()
    snapshots: tuple[tuple[int, DataSummary], ...] = ()

    @classmethod
    def read(cls, directory: Path) -> Course:
        """Read what ``ddapps distill`` wrote beside a summary.

        Raises:
            SummaryFormatError: something of it is damaged.
        """
        file, folder = directory / PROGRESS, directory / SNAPSHOTS
        losses = _losses(file) if file.exists() else ()
        states = sorted(p for p in folder.iterdir() if p.name.isdecimal()) if folder.is_dir() else []
        kept = [states[place - 1] for place in spread(MAX_SHOWN, len(states))] if states else []
        return cls(losses, tuple((int(p.name), DataSummary.load(p)) for p in kept))

    def curve(self) -> list[dict[str, Any]]:
        """Return the losses as at most 240 points: mean, least and greatest of neighbours."""
        finite = [(step, loss) for step, loss in self.losses if math.isfinite(loss)]
        places = [i * len(finite) // min(POINTS, len(finite)) for i in range(min(POINTS, len(finite)))]
        found = []
        for start, end in pairwise([*places, len(finite)]):
            lot = [loss for _, loss in finite[start:end]]
            found.append(
                {"step": finite[end - 1][0], "loss": math.fsum(lot) / len(lot), "low": min(lot), "high": max(lot)}
            )
        return found


def _losses(file: Path) -> tuple[tuple[int, float], ...]:
    """Return step and loss of every line; of a step that was taken again, the last.

    A last line without its end was torn when the run was killed. It is left out.
    """
    text = read_limited(file, MAX_PROGRESS).decode(errors="replace")
    rows = csv.reader(io.StringIO(text[: text.rfind("\n") + 1]))
    if next(rows, None) != HEADER.split(","):
        raise SummaryFormatError(f"{file}: the first line is not {HEADER}; delete the file, or distill again")
    try:
        found = {int(step): float(loss) for step, loss, _ in rows}
    except ValueError as error:
        raise SummaryFormatError(
            f"{file}: a line is not a step, a loss and seconds; delete the file, or distill again"
        ) from error
    return tuple(sorted(found.items()))
