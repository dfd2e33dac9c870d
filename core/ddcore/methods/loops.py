"""Loops by examples per class: how long networks are matched on, and train in between."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

Loops = Mapping[int, tuple[int, int]]

DC_LOOPS: Loops = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}
"""ipc -> (matching steps per network, epochs between two of them).

As in the code of Zhao et al. 2021.
"""

DCC_LOOPS: Loops = {**DC_LOOPS, 1: (10, 5)}
"""The same as in the code of Lee et al. 2022."""


def loops_for(ipc: int, table: Loops = DC_LOOPS) -> tuple[int, int]:
    """Return (outer, inner) for any ipc.

    Straight lines join the table's entries. Beyond them its ends hold.
    """
    known = sorted(table)
    if ipc <= known[0] or ipc >= known[-1]:
        return table[known[0] if ipc <= known[0] else known[-1]]
    low, high = next((a, b) for a, b in pairwise(known) if a <= ipc <= b)
    share = (ipc - low) / (high - low)
    outer, inner = (round(a + share * (b - a)) for a, b in zip(table[low], table[high], strict=True))
    return outer, inner
