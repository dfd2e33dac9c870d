"""Numbers in what people read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

UNDEFINED = "–"  # noqa: RUF001
"""What stands where a number is not defined."""


def shown(value: float | None, digits: int = 2) -> str:
    """Return a number with so many decimals; a dash for None and NaN."""
    return UNDEFINED if value is None or math.isnan(value) else f"{value:.{digits}f}"


def counted(number: float, one: str, several: str | None = None) -> str:
    """Return ``1 class`` or ``3 classes``.

    Args:
        number: how many.
        one: the word for one.
        several: the word for several; None: the same with an s.
    """
    return f"{number} {one if number == 1 else several or one + 's'}"


def interval(statistics: Mapping[str, Any], *, signed: bool = False) -> str:
    """Return a mean with half of its 95 % interval, or the mean alone where there is none."""
    mean = f"{statistics['mean']:+.2f}" if signed else f"{statistics['mean']:.2f}"
    return mean if statistics["ci95"] is None else f"{mean} ± {statistics['ci95']:.2f}"


def duration(seconds: float) -> str:
    """Return a time as people say it: ``0.2 s``, ``42 s``, ``7 min``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
