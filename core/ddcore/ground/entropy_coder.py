r"""Arithmetic coding of whole numbers on a grid, by adaptive models whose predictions are mixed.

A number is coded bit by bit, the highest first. Each of several contexts (neighbours, position,
what an earlier channel holds) keeps a probability per bit. They are mixed in the logistic domain:
with :math:`s_i = \ln p_i/(1 - p_i)` the bit is 1 with :math:`\sigma(\sum_i w_i s_i)`, and the
weights move along the gradient of the code length. All is integer arithmetic, so every machine
reads what any machine wrote. Nothing is learned beforehand, and nothing is stored but the code.

Source of the idea: Mahoney 2005, adaptive weighing of context models for lossless data compression.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache

import numpy as np

MOST_NUMBERS_PER_BYTE = 256
"""A byte of code never stands for more numbers, so that reading costs what was written at most."""


@dataclass(frozen=True)
class Grid:
    """How numbers lie: ``planes`` of ``rows x columns``; ``channels`` of them belong together."""

    planes: int
    rows: int
    columns: int
    channels: int = 1

    @classmethod
    def of(cls, shape: Sequence[int]) -> Grid:
        """Return the grid of a tensor, whose last two axes are rows and columns."""
        sides = (1, 1, *shape)
        planes = 1
        for size in sides[:-2]:
            planes *= size
        return cls(planes, sides[-2], sides[-1], shape[1] if len(shape) == 4 else 1)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Planes, rows, columns, channels."""
        return self.planes, self.rows, self.columns, self.channels

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.planes * self.rows * self.columns


def encode(numbers: bytes, grid: Grid, levels: int) -> bytes:
    """Return the code of whole numbers from 0 to ``levels - 1``, in the order of the grid."""
    from ddcore.ground.context_mixing import HIGH, LOW, MOST_BITS, PLACE, code_numbers

    bits = max(1, (levels - 1).bit_length())
    code = np.zeros(grid.size * bits * MOST_BITS // 8 + 8, np.uint8)
    state = code_numbers(np.frombuffer(bytearray(numbers), np.uint8), code, True, grid.shape, levels, *_tables())
    low, high = int(state[LOW]), int(state[HIGH])
    written = code[: state[PLACE]].tobytes() + _shortest(low, high)
    # Zeros are read after the end anyway: they change nothing but the length.
    return written.rstrip(b"\0").ljust(-(-grid.size // MOST_NUMBERS_PER_BYTE), b"\0")


def decode(code: bytes, grid: Grid, levels: int) -> bytes:
    """Return the numbers that a code stands for.

    Any bytes are the code of some numbers. They may reach the next power of two of ``levels``.
    """
    from ddcore.ground.context_mixing import code_numbers

    numbers = np.zeros(grid.size, np.uint8)
    code_numbers(numbers, np.frombuffer(bytearray(code), np.uint8), False, grid.shape, levels, *_tables())
    return numbers.tobytes()


def _shortest(low: int, high: int) -> bytes:
    """Return the fewest bytes that lie in an interval of 32 bits, zeros after them."""
    for length in range(4):
        kept = 8 * (4 - length)
        value = -(-low >> kept) << kept
        if value <= high:
            return value.to_bytes(5, "big")[1 : 1 + length]
    return low.to_bytes(4, "big")


@cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the logistic function, its inverse, and the rates of learning, as whole numbers.

    The logistic function comes from decimal arithmetic, which is the same on every machine.
    """
    from ddcore.ground.context_mixing import LEAST, MEMORY, ONE, STRETCHED

    with localcontext() as context:
        context.prec = 20
        squash = [
            min(max(int(ONE / (1 + (Decimal(-d) / 256).exp())), LEAST), ONE - LEAST)
            for d in range(-STRETCHED, STRETCHED + 1)
        ]
    stretch, d = [], 0
    for p in range(ONE >> 4):
        while d < 2 * STRETCHED and squash[d] < (p << 4) + 8:
            d += 1
        stretch.append(d - STRETCHED)
    rates = [2 * ONE // (2 * n + 3) for n in range(MEMORY + 1)]
    return np.array(squash), np.array(stretch), np.array(rates)
