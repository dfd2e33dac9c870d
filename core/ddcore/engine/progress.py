"""What observers of a run see, and the progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from torch import Tensor
from tqdm import tqdm

from ddcore.summary import DataSummary

BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} steps, {remaining} left{postfix}"


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
"""What is called after every step.

It may have two methods without arguments. ``flush()`` is called before every checkpoint: what a
callback holds back must then be written, since a resumed run does not see those steps again.
``close()`` is called when the run has ended, also where it has failed.
"""


def flush(callbacks: Sequence[Callback]) -> None:
    """Let all callbacks write what they hold back."""
    for callback in callbacks:
        getattr(callback, "flush", _nothing)()


@contextmanager
def closing(callbacks: Sequence[Callback]) -> Iterator[None]:
    """Close all callbacks after the block, the last one first, whatever the others raise."""
    with ExitStack() as stack:
        for callback in callbacks:
            stack.callback(getattr(callback, "close", _nothing))
        yield


def _nothing() -> None:
    pass


def watched() -> bool:
    """Whether somebody looks: standard error is a terminal, or this is a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", _nothing)()
    return sys.stderr.isatty() or type(shell).__name__ == "ZMQInteractiveShell"


class ProgressBar:
    """A bar on standard error with the loss, the seconds per step and the time left.

    It looks at the loss twice a second at most.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: tqdm[None] | None = None
        self._next = 0.0
        self._before = (0, 0.0)

    def __call__(self, progress: Progress) -> None:
        """Show a step."""
        if self._bar is None:
            first = progress.step - 1
            self._bar = tqdm(total=progress.steps, initial=first, desc=self._title, bar_format=BAR)
        now = time.monotonic()
        if now >= self._next or progress.step == progress.steps:
            step, seconds = self._before
            pace = "" if step == 0 else f", {(progress.seconds - seconds) / (progress.step - step):.3g} s/step"
            self._bar.set_postfix_str(f"loss {float(progress.loss):.4g}{pace}", refresh=False)
            self._before, self._next = (progress.step, progress.seconds), now + 0.5
        self._bar.update(progress.step - self._bar.n)

    def say(self, text: str) -> None:
        """Write a line about what happens before the first step."""
        tqdm.write(f"{self._title}: {text}", file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
