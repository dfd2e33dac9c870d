"""What observers of a run see, and the progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from tqdm import tqdm

from ddcore.summary import DataSummary


@dataclass(frozen=True)
class Progress:
    """The state of a run after a step.

    Attributes:
        step: number of steps done.
        steps: number of steps of the whole run.
        loss: of the last step, on the run's device. Reading it makes the host wait.
        seconds: spent so far, the part before a resumption included.
        snapshot: returns the present state as a `DataSummary`.
    """

    step: int
    steps: int
    loss: Tensor
    seconds: float
    snapshot: Callable[[], DataSummary]


Callback = Callable[[Progress], None]


class ProgressBar:
    """A bar on standard error with the loss and the time left.

    It looks at the loss twice a second at most.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: tqdm[None] | None = None
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        """Show a step."""
        if self._bar is None:
            self._bar = tqdm(total=progress.steps, initial=progress.step - 1, desc=self._title, unit="step")
        self._bar.update(progress.step - self._bar.n)
        if time.monotonic() >= self._next:
            self._bar.set_postfix(loss=f"{float(progress.loss):.4g}", refresh=False)
            self._next = time.monotonic() + 0.5

    def say(self, text: str) -> None:
        """Write a line about what happens before the first step."""
        tqdm.write(f"{self._title}: {text}", file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
