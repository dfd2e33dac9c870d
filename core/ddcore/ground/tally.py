"""How many pieces of long work are done, in words."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from tqdm import tqdm

from ddcore.ground.words import duration

SAY_SECONDS = 5.0
"""Least time between two lines that need not be said."""


def sayer(progress: Callable[[str], None] | bool | None) -> Callable[[str], None] | None:
    """Return what takes lines of text: a function itself, standard error for True, else None."""
    if progress is True:
        return lambda line: tqdm.write(line, file=sys.stderr)
    return progress or None


class Tally:
    """Says ``3 of 20 networks: ..., about 2 min left`` as pieces of work are done.

    A line is said for the first and the last piece, and else every five seconds at most. The time
    left is that of the pieces done so far, for as many as are left.

    Args:
        say: takes a line of text. None: nothing is said.
        total: pieces of work. It may grow (`expect`).
        what: they are, in the plural.
    """

    def __init__(self, say: Callable[[str], None] | None, total: int, what: str) -> None:
        self._say, self.total, self._what = say, total, what
        self.done_so_far = self._worked = 0
        self._started = time.monotonic()
        self._next = self._started

    def expect(self, more: int) -> None:
        """Take note of further pieces."""
        self.total += more

    def found(self, pieces: int) -> None:
        """Take note of pieces that were done before, and took no time now."""
        self.done_so_far += pieces

    def done(self, text: str, *, pieces: int = 1, always: bool = False) -> None:
        """Take note of pieces that are done, and say so if it is time, or ``always``."""
        self.done_so_far += pieces
        self._worked += pieces
        if always or self.done_so_far == self.total or time.monotonic() >= self._next:
            self._line(f"{self.done_so_far} of {self.total} {self._what}: {text}{self._left()}")

    def note(self, text: str) -> None:
        """Say something of a piece that goes on, if it is time."""
        if time.monotonic() >= self._next:
            self._line(f"{self.done_so_far} of {self.total} {self._what}; {text}")

    def _line(self, text: str) -> None:
        self._next = time.monotonic() + SAY_SECONDS
        if self._say is not None:
            self._say(text)

    def _left(self) -> str:
        left = self.total - self.done_so_far
        if left <= 0:
            return ""
        return f", about {duration((time.monotonic() - self._started) / self._worked * left)} left"
