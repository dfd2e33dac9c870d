"""The loop of `ddcore.ground.entropy_coder`: it codes the bits of numbers on a grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ddcore.ground.machine_code import compiled

Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]

ONE = 1 << 16
"""The probability 1."""
LEAST = 1 << 7
"""The smallest probability that a bit may have."""
MOST_BITS = 9
"""What a bit of such a probability costs at most."""
CONTEXTS = 5
STRETCHED = 2047
MEMORY = 160
"""Occurrences after which a context forgets as fast as it learns."""
LEARNING = 14
"""Shift by which the mixing weights' steps are scaled down."""
FIRST_WEIGHT = 26_000
FINE_BITS = 6
"""Numbers of so many bits have mixing weights of their own for every prefix of bits."""
COARSE_BITS = 4
"""How many bits of a neighbour a context looks at."""
MOST_SLOTS = 1 << 20
"""Of the table of a context."""
PROBES = 16
"""In how many slots a context is looked for; then it shares the last of them."""
SPREAD = 0x9E3779B97F4A7
"""An odd factor that spreads contexts over the slots."""
LOW, HIGH, VALUE, PLACE = range(4)
"""Where the coder's state lies: an interval of 32 bits, what is read of it, and bytes so far."""


@compiled
def code_numbers(
    numbers: Bytes,
    code: Bytes,
    writing: bool,
    shape: tuple[int, int, int, int],
    levels: int,
    squash: Integers,
    stretch: Integers,
    rates: Integers,
) -> Integers:
    """Code numbers on a grid, and return the state of the coder at its end.

    Args:
        numbers: read, or filled, in the order of the grid.
        code: filled, or read.
        writing: whether ``numbers`` become ``code``; else the other way round.
        shape: planes, rows, columns, channels.
        levels: of the numbers.
        squash: the logistic function.
        stretch: its inverse.
        rates: of learning, by how often a context was seen.
    """
    planes, rows, columns, channels = shape
    bits = 1
    while (1 << bits) < levels:
        bits += 1
    top, coarse = 1 << bits, max(0, bits - COARSE_BITS)
    slots = 1 << 10
    while slots < MOST_SLOTS and slots < 2 * bits * len(numbers):
        slots <<= 1
    keys = np.full((CONTEXTS, slots), -1, np.int64)
    chances = np.full((CONTEXTS, slots), ONE >> 1, np.int64)
    seen = np.zeros((CONTEXTS, slots), np.int64)
    weights = np.full((top if bits <= FINE_BITS else bits, CONTEXTS), FIRST_WEIGHT, np.int64)
    contexts, slot, stretched = np.zeros(CONTEXTS, np.int64), np.zeros(CONTEXTS, np.int64), np.zeros(CONTEXTS, np.int64)
    state = np.array([0, 0xFFFFFFFF, 0, 0], np.int64)
    if not writing:
        for _ in range(4):
            _next_byte(code, state)
    place = 0
    for plane in range(planes):
        start, channel = plane * rows * columns, plane % channels
        for row in range(rows):
            for column in range(columns):
                left = _at(numbers, start, row, column - 1, columns) >> coarse
                further = _at(numbers, start, row, column - 2, columns) >> coarse
                up = _at(numbers, start, row - 1, column, columns) >> coarse
                corner = _at(numbers, start, row - 1, column - 1, columns) >> coarse
                ahead = _at(numbers, start, row - 1, column + 1, columns) >> coarse
                over = _at(numbers, start, row - 2, column, columns) >> coarse
                guess = left + up - corner + 16
                contexts[0] = (left << 4 | up) << 3 | channel
                contexts[1] = (guess << 4 | ahead) << 4 | further
                contexts[2] = ((row * columns + column) << 3 | channel) << 1 | (1 if left + up > 0 else 0)
                contexts[3] = ((left << 4 | up) << 4 | corner) << 4 | ahead
                if channels > 1:
                    contexts[4] = (int(numbers[place - rows * columns]) if channel else 0) << 6 | guess
                else:
                    contexts[4] = (further << 4 | over) << 6 | guess
                symbol = int(numbers[place]) if writing else 0
                node = 1
                for depth in range(bits - 1, -1, -1):
                    mixed = weights[node if bits <= FINE_BITS else depth]
                    total = 0
                    for i in range(CONTEXTS):
                        slot[i] = _slot(keys[i], contexts[i] * top + node)
                        stretched[i] = stretch[chances[i, slot[i]] >> 4]
                        total += mixed[i] * stretched[i]
                    total = min(max(total >> 16, -STRETCHED), STRETCHED)
                    chance = squash[total + STRETCHED]
                    bit = _code_bit(symbol >> depth & 1, int(chance), code, writing, state)
                    error, goal = (ONE if bit else 0) - chance, ONE - 1 if bit else 0
                    for i in range(CONTEXTS):
                        mixed[i] += stretched[i] * error >> LEARNING
                        s = slot[i]
                        chances[i, s] += (goal - chances[i, s]) * rates[seen[i, s]] >> 16
                        seen[i, s] = min(seen[i, s] + 1, MEMORY)
                    node = node << 1 | bit
                numbers[place] = node - top
                place += 1
    return state


@compiled
def _at(numbers: Bytes, start: int, row: int, column: int, columns: int) -> int:
    """Return a number of the plane that begins at ``start``; 0 outside of it."""
    if row < 0 or column < 0 or column >= columns:
        return 0
    return int(numbers[start + row * columns + column])


@compiled
def _slot(keys: Integers, key: int) -> int:
    """Return where a context lies in its table, which is new there if it was not known."""
    mask = len(keys) - 1
    spread = key * SPREAD
    place = (spread ^ spread >> 23) & mask
    for _ in range(PROBES):
        if keys[place] == key:
            return place
        if keys[place] < 0:
            keys[place] = key
            return place
        place = (place + 1) & mask
    return place


@compiled
def _code_bit(bit: int, chance: int, code: Bytes, writing: bool, state: Integers) -> int:
    """Write a bit, or read it; narrow the interval to its part."""
    middle = state[LOW] + ((state[HIGH] - state[LOW]) >> 16) * chance
    if not writing:
        bit = 1 if state[VALUE] <= middle else 0
    if bit:
        state[HIGH] = middle
    else:
        state[LOW] = middle + 1
    while not (state[LOW] ^ state[HIGH]) & 0xFF000000:
        if writing:
            code[state[PLACE]] = state[HIGH] >> 24
            state[PLACE] += 1
        else:
            _next_byte(code, state)
        state[LOW] = (state[LOW] << 8) & 0xFFFFFFFF
        state[HIGH] = (state[HIGH] << 8) & 0xFFFFFFFF | 0xFF
    return bit


@compiled
def _next_byte(code: Bytes, state: Integers) -> None:
    """Read a byte. After the end of the code there are zeros."""
    following = int(code[state[PLACE]]) if state[PLACE] < len(code) else 0
    state[PLACE] += 1
    state[VALUE] = (state[VALUE] << 8) & 0xFFFFFFFF | following
