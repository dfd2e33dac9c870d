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
from typing import Protocol

ONE = 1 << 16
"""The probability 1."""
LEAST = 1 << 7
"""The smallest probability that a bit may have."""
MOST_NUMBERS_PER_BYTE = 256
"""A byte of code never stands for more numbers, so that reading costs what was written at most."""
_STRETCHED = 2047
_MEMORY = 160
"""Occurrences after which a context forgets as fast as it learns."""
_LEARNING = 14
"""Shift by which the mixing weights' steps are scaled down."""


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
    def size(self) -> int:
        """How many numbers there are."""
        return self.planes * self.rows * self.columns


class _Coder(Protocol):
    def code(self, bit: int, probability: int) -> int: ...


class _Writer:
    """Narrows an interval of 32 bits, and writes the bytes that are settled."""

    def __init__(self) -> None:
        self._low, self._high = 0, 0xFFFFFFFF
        self.written = bytearray()

    def code(self, bit: int, probability: int) -> int:
        middle = self._low + ((self._high - self._low) >> 16) * probability
        if bit:
            self._high = middle
        else:
            self._low = middle + 1
        while not (self._low ^ self._high) & 0xFF000000:
            self.written.append(self._high >> 24)
            self._low = (self._low << 8) & 0xFFFFFFFF
            self._high = (self._high << 8) & 0xFFFFFFFF | 0xFF
        return bit

    def finish(self) -> bytes:
        """Return the shortest code that lies in the interval. Zeros are read after its end."""
        for length in range(5):
            kept = 8 * (4 - length)
            value = -(-self._low >> kept) << kept if kept else self._low
            if value <= self._high:
                self.written += value.to_bytes(5, "big")[1 : 1 + length]
                break
        return bytes(self.written).rstrip(b"\0")


class _Reader:
    """Follows the interval of a code. After its end it reads zeros."""

    def __init__(self, code: bytes) -> None:
        self._code, self._place = code, 4
        self._low, self._high = 0, 0xFFFFFFFF
        self._value = int.from_bytes(code[:4].ljust(4, b"\0"), "big")

    def code(self, bit: int, probability: int) -> int:
        middle = self._low + ((self._high - self._low) >> 16) * probability
        if self._value <= middle:
            bit, self._high = 1, middle
        else:
            bit, self._low = 0, middle + 1
        while not (self._low ^ self._high) & 0xFF000000:
            following = self._code[self._place] if self._place < len(self._code) else 0
            self._place += 1
            self._low = (self._low << 8) & 0xFFFFFFFF
            self._high = (self._high << 8) & 0xFFFFFFFF | 0xFF
            self._value = (self._value << 8) & 0xFFFFFFFF | following
        return bit


def encode(numbers: Sequence[int], grid: Grid, levels: int) -> bytes:
    """Return the code of whole numbers from 0 to ``levels - 1``, in the order of the grid."""
    writer = _Writer()
    _run(writer, list(numbers), grid, levels)
    # Zeros are read after the end anyway: they change nothing but the length.
    return writer.finish().ljust(-(-grid.size // MOST_NUMBERS_PER_BYTE), b"\0")


def decode(code: bytes, grid: Grid, levels: int) -> list[int]:
    """Return the numbers that a code stands for.

    Any bytes are the code of some numbers. They may reach the next power of two of ``levels``.
    """
    return _run(_Reader(code), None, grid, levels)


def _run(coder: _Coder, given: list[int] | None, grid: Grid, levels: int) -> list[int]:
    """Code the ``given`` numbers, or None: those that the coder finds. Return them."""
    squash, stretch, rates = _tables()
    bits = max(1, (levels - 1).bit_length())
    top = 1 << bits
    coarse = max(0, bits - 4)
    columns, area = grid.columns, grid.rows * grid.columns
    found: list[int] = [] if given is None else given
    known: tuple[dict[int, list[int]], ...] = ({}, {}, {}, {}, {})
    weights = [[26_000] * len(known) for _ in range(top if bits <= 6 else bits)]
    blank = [0] * (columns + 3)
    place = 0
    for plane in range(grid.planes):
        channel = plane % grid.channels
        above = twice_above = blank
        for row in range(grid.rows):
            line = [0] * (columns + 3)  # two zeros before, one behind
            for column in range(columns):
                left, further = line[column + 1] >> coarse, line[column] >> coarse
                up, corner, ahead = (
                    above[column + 2] >> coarse,
                    above[column + 1] >> coarse,
                    above[column + 3] >> coarse,
                )
                over = twice_above[column + 2] >> coarse
                same = found[place - area] if channel else 0
                guess = left + up - corner
                contexts = (
                    (left << 4 | up) << 3 | channel,
                    ((guess + 16) << 4 | ahead) << 4 | further,
                    ((row * columns + column) << 3 | channel) << 1 | (left + up > 0),
                    ((left << 4 | up) << 4 | corner) << 4 | ahead,
                    ((same << 6 | (guess + 16)) if grid.channels > 1 else (further << 4 | over) << 6 | guess + 16),
                )
                symbol = 0 if given is None else given[place]
                node = 1
                for depth in range(bits - 1, -1, -1):
                    entries, total = [], 0
                    mixed = weights[node if bits <= 6 else depth]
                    stretched = []
                    for table, context, weight in zip(known, contexts, mixed, strict=True):
                        key = context * top + node
                        entry = table.get(key)
                        if entry is None:
                            entry = table[key] = [ONE >> 1, 0]
                        entries.append(entry)
                        s = stretch[entry[0] >> 4]
                        stretched.append(s)
                        total += weight * s
                    total >>= 16
                    total = _STRETCHED if total > _STRETCHED else -_STRETCHED if total < -_STRETCHED else total
                    probability = squash[total + _STRETCHED]
                    bit = coder.code(symbol >> depth & 1, probability)
                    error = (ONE if bit else 0) - probability
                    for i, s in enumerate(stretched):
                        mixed[i] += s * error >> _LEARNING
                    goal = ONE - 1 if bit else 0
                    for entry in entries:
                        entry[0] += (goal - entry[0]) * rates[entry[1]] >> 16
                        if entry[1] < _MEMORY:
                            entry[1] += 1
                    node = node << 1 | bit
                value = node - top
                if given is None:
                    found.append(value)
                line[column + 2] = value
                place += 1
            twice_above, above = above, line
    return found


@cache
def _tables() -> tuple[list[int], list[int], list[int]]:
    """Return the logistic function, its inverse, and the rates of learning, as whole numbers.

    The logistic function comes from decimal arithmetic, which is the same on every machine.
    """
    with localcontext() as context:
        context.prec = 20
        squash = [
            min(max(int(ONE / (1 + (Decimal(-d) / 256).exp())), LEAST), ONE - LEAST)
            for d in range(-_STRETCHED, _STRETCHED + 1)
        ]
    stretch, d = [], 0
    for p in range(ONE >> 4):
        while d < 2 * _STRETCHED and squash[d] < (p << 4) + 8:
            d += 1
        stretch.append(d - _STRETCHED)
    return squash, stretch, [2 * ONE // (2 * n + 3) for n in range(_MEMORY + 1)]
