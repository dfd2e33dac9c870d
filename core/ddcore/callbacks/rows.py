"""What steps say, read together now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ddcore.engine import Progress

READ_SECONDS = 2.0
"""Between two looks at losses. On a GPU every look makes the host wait."""
MOST_HELD = 1000
"""Steps whose losses wait to be read."""


class Row(NamedTuple):
    """What one step says: its number, its loss, and the seconds of the run so far."""

    step: int
    loss: float
    seconds: float


class Rows:
    """Holds losses where they are computed, and reads many of them in one transfer.

    Args:
        write: takes the rows that were read, in order.
    """

    def __init__(self, write: Callable[[Sequence[Row]], None]) -> None:
        self._write = write
        self._held: list[tuple[int, Tensor, float]] = []
        self._next = time.monotonic() + READ_SECONDS

    def add(self, progress: Progress) -> None:
        """Take in a step. Those that were held are read if it is time."""
        self._held.append((progress.step, progress.loss.detach(), progress.seconds))
        if len(self._held) >= MOST_HELD or time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Read all losses that are held, and write their rows."""
        if self._held:
            losses = torch.stack([loss for _, loss, _ in self._held]).tolist()
            self._write([Row(s, loss, t) for (s, _, t), loss in zip(self._held, losses, strict=True)])
            self._held.clear()
        self._next = time.monotonic() + READ_SECONDS


def spread(count: int, steps: int) -> list[int]:
    """Return ``count`` steps from 1 to ``steps``, as evenly apart as whole numbers are.

    The first and the last are among them; one alone is the last. There are fewer where ``steps``
    is smaller.
    """
    if count == 1 or steps == 1:
        return [steps]
    return sorted({1 + round(place * (steps - 1) / (count - 1)) for place in range(count)})
