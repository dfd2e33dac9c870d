"""Checkpoints: a run that is killed at any moment goes on from its last checkpoint."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ddcore.errors import CheckpointError
from ddcore.ground.differences import differences, shortened
from ddcore.ground.statefile import read_state, write_state


class Checkpoint:
    """The checkpoint file of one run.

    Args:
        path: of the file. Its folder is made.
        fingerprint: facts of the run. Only if they are equal does a resumed run equal an
            uninterrupted one.
        interval: least seconds between two writes.
    """

    def __init__(self, path: Path, fingerprint: dict[str, Any], interval: float) -> None:
        self.path = path
        self._fingerprint = fingerprint
        self._interval = interval
        self._last = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> dict[str, Any] | None:
        """Return the saved state, or None if there is no checkpoint.

        Raises:
            CheckpointError: it is damaged, or of another run. The message names what differs.
        """
        if not self.path.exists():
            return None
        saved = read_state(self.path)
        differing = list(differences(saved.get("fingerprint", {}), self._fingerprint))
        if differing:
            name, theirs, ours = differing[0]
            more = f" ({len(differing) - 1} more differ)" if len(differing) > 1 else ""
            raise CheckpointError(
                f"checkpoint {self.path} belongs to another run: {name} was {shortened(theirs)}, now it is "
                f"{shortened(ours)}{more}. Give the same settings again, or delete the checkpoint to start over "
                "(on the command line: --overwrite)"
            )
        return saved

    def due(self) -> bool:
        """Whether the interval has passed since the last write."""
        return time.monotonic() - self._last >= self._interval

    def write(self, state: dict[str, Any]) -> None:
        """Write ``state`` in place of the last checkpoint."""
        write_state(self.path, {"fingerprint": self._fingerprint, **state})
        self._last = time.monotonic()
