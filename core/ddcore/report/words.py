"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: int) -> str:
    """Return a number of bytes with three digits and a unit of powers of 1000."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.3g} {UNITS[unit]}"


def ends(statistics: Mapping[str, Any]) -> tuple[float, float]:
    """Return the ends of the interval; both are the mean where there is none."""
    half = statistics["ci95"] or 0.0
    return statistics["mean"] - half, statistics["mean"] + half
