"""States of a run on the way, as whole summaries."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ddcore.callbacks.rows import spread
from ddcore.engine import Progress
from ddcore.settings import require_counts

SNAPSHOTS = "snapshots"
"""Name of the folder that ``ddapps distill --snapshots`` leaves beside a summary."""


class Snapshots:
    """Saves evenly spread states of a run as summaries, at ``directory/<step as 8 digits>``.

    The state after the first step and that after the last are among them. A resumed run keeps
    those of the steps before it, and replaces the others; so does a run that begins anew with all.
    A run that ends before its last step, since its time is up, has those that it came by.

    Args:
        directory: where they go.
        count: how many; fewer where the run has fewer steps.

    Example:
        ``dd.distill(target, "dm", callbacks=[dd.callbacks.Snapshots("out/snapshots", 10)])``
    """

    def __init__(self, directory: str | Path, count: int = 10) -> None:
        require_counts(count=count)
        self.directory, self.count = Path(directory), count
        self._due: frozenset[int] | None = None

    def __call__(self, progress: Progress) -> None:
        """Save the state if its step is one of those chosen."""
        if self._due is None:
            self._due = frozenset(spread(self.count, progress.steps))
            self._remove_from(progress.step)
        if progress.step in self._due:
            progress.snapshot().save(self.directory / f"{progress.step:08d}", overwrite=True)

    def close(self) -> None:
        """End the run. The next one chooses its steps anew."""
        self._due = None

    def _remove_from(self, step: int) -> None:
        """Remove states of this step and later ones, and those of steps that are not chosen."""
        assert self._due is not None
        for folder in self.directory.glob("*"):
            if re.fullmatch(r"\d{8}", folder.name) and (folder / "config.json").exists():
                found = int(folder.name)
                if found >= step or found not in self._due:
                    shutil.rmtree(folder)
