"""How long a distillation takes, said after its first steps, and when it ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch

import ddcore as dd
from ddcore.engine import watched
from ddcore.ground import duration, resolve_device, sayer

CPU_SECONDS = 60.0
"""Most seconds of the distillations of one experience on a processor, if nobody says another
number."""
MEASURED_SECONDS = 2.0
"""How long steps are measured before their pace is said."""
SHORT_SECONDS = 10.0
"""What takes less than this from the start is not announced."""
AGAIN_SECONDS = 30.0
"""Least time between two lines."""

Shown = bool | Callable[[str], None] | None
"""How progress is shown; see `Pace.shown`."""


CHOICE_SHARE = 5
"""How many times the seconds of an experience a choice of the method may take."""


def most_seconds(given: float | None, device: str | torch.device) -> float | None:
    """Return the most seconds of an experience: the given ones, else the usual ones of the device.

    They are `CPU_SECONDS` on a processor. On a GPU, and where ``math.inf`` is given, there is no
    limit: None.
    """
    if given is None:
        return CPU_SECONDS if resolve_device(device).type == "cpu" else None
    return None if math.isinf(given) else given


class Pace:
    """A callback of ``distill``: says how long all steps take, later how many are done.

    Args:
        title: what is distilled.
        limit: seconds after which it ends, or None.
        say: takes a line of text.
    """

    def __init__(self, title: str, limit: float | None, say: Callable[[str], None]) -> None:
        self._title, self._limit, self._say = title, limit, say
        self._first: tuple[int, float] | None = None
        self._next = 0.0

    @staticmethod
    def shown(progress: Shown) -> tuple[bool, Callable[[str], None] | None]:
        """Return whether ``distill`` shows its bar, and what takes lines of text instead.

        Args:
            progress: None: the bar where standard error is a terminal or this is a notebook, else
                lines on standard error. True: the bar. False: nothing. A function: it takes lines.
        """
        if isinstance(progress, bool):
            return progress, None
        if progress is not None:
            return False, progress
        return (True, None) if watched() else (False, sayer(True))

    def __call__(self, progress: dd.Progress) -> None:
        """Take note of a step."""
        now = progress.seconds
        if self._first is None:
            self._first, self._next = (progress.step, now), now + MEASURED_SECONDS
            return
        if now < self._next or progress.step >= progress.steps:
            return
        step, seconds = self._first
        left = (now - seconds) / (progress.step - step) * (progress.steps - progress.step)
        announced = self._next > seconds + MEASURED_SECONDS
        self._next = now + AGAIN_SECONDS
        if announced:
            self._say(f"{self._title}: {progress.step} of {progress.steps} steps, about {duration(left)} left")
        elif now + left > SHORT_SECONDS:
            ends = "" if self._limit is None or now + left <= self._limit else self._ends()
            self._say(f"{self._title}: about {duration(now + left)} for {progress.steps} steps{ends}")

    def _ends(self) -> str:
        assert self._limit is not None
        return f"; it ends after {duration(self._limit)}, with the steps it has (max_seconds=)"


class Deadline:
    """Shares the seconds of an experience among its distillations.

    Each gets what is left, divided by how many are left.

    Args:
        seconds: in all; None: no limit.
        parts: how many distillations there are. Where more come, each of these gets all that is
            left.
    """

    def __init__(self, seconds: float | None, parts: int) -> None:
        self._seconds, self._parts, self._started = seconds, parts, time.monotonic()

    def next(self) -> float | None:
        """Return the most seconds of the next one."""
        left, self._parts = max(self._parts, 1), self._parts - 1
        if self._seconds is None:
            return None
        return max(self._seconds - (time.monotonic() - self._started), 0.0) / left
