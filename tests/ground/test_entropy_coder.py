"""Codes: what is written is read again, on every machine, and in few bytes."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch

import ddcore as dd
from ddcore.ground.context_mixing import code_numbers
from ddcore.ground.entropy_coder import MOST_NUMBERS_PER_BYTE, Grid, _tables, decode, encode

KNOWN = "c19abb566eb56e2a853657c822694e86a8"


@pytest.mark.parametrize("levels", [2, 3, 4, 16, 17, 256])
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (2, 3, 4), (4, 3, 5, 6)])
def test_what_is_written_is_read(levels: int, shape: tuple[int, ...]) -> None:
    draw, grid = random.Random(levels), Grid.of(shape)
    for likely in (0.0, 0.9):
        numbers = bytes(0 if draw.random() < likely else draw.randrange(levels) for _ in range(math.prod(shape)))
        assert decode(encode(numbers, grid, levels), grid, levels) == numbers


def test_a_known_code_keeps_its_meaning() -> None:
    """Summaries on disk must stay readable: these bytes may never change."""
    numbers = bytes((3 * i * i + i // 5) % 7 % 4 for i in range(60))
    code = encode(numbers, Grid.of((60,)), 4)
    assert code.hex() == KNOWN
    assert decode(bytes.fromhex(KNOWN), Grid.of((60,)), 4) == numbers


@pytest.mark.parametrize("levels", [2, 16, 200])
def test_machine_code_and_python_write_the_same(levels: int) -> None:
    """Whole numbers of Python do not overflow: those of machine code must not either."""
    shape = (6, 3, 7, 5)
    grid = Grid.of(shape)
    numbers = torch.randint(levels, shape, generator=torch.Generator().manual_seed(levels)).to(torch.uint8).numpy()
    written = {}
    for function in (code_numbers, code_numbers.py_func):
        code = np.zeros(2 * numbers.size, np.uint8)
        state = function(numbers.flatten(), code, True, grid.shape, levels, *_tables())
        written[function] = [*state.tolist(), *code.tolist()]
    assert written[code_numbers] == written[code_numbers.py_func]


def test_a_table_that_is_full_is_shared() -> None:
    """Long codes have more contexts than slots."""
    draw, grid = random.Random(3), Grid.of((120, 1, 40, 40))
    numbers = draw.randbytes(grid.size)
    assert decode(encode(numbers, grid, 256), grid, 256) == numbers


def test_random_numbers_cost_their_entropy_and_constant_ones_nearly_nothing() -> None:
    draw, grid = random.Random(0), Grid.of((20, 1, 10, 10))
    noise = encode(bytes(draw.randrange(16) for _ in range(2000)), grid, 16)
    assert 1000 <= len(noise) <= 1000 * 1.15
    for level in (0, 3, 15):
        constant = encode(bytes([level]) * 2000, grid, 16)
        assert len(constant) < 40
        assert MOST_NUMBERS_PER_BYTE * len(constant) >= 2000
        assert decode(constant, grid, 16) == bytes([level]) * 2000


def test_digits_take_less_than_their_order_zero_entropy_and_than_zlib(digits: dd.TargetData) -> None:
    import zlib

    places = (digits.train.inputs[:200].float() / 255 * 3).round().long()
    code = encode(bytes(places.flatten().tolist()), Grid.of(places.shape), 4)
    shares = places.flatten().bincount(minlength=4) / places.numel()
    entropy = float(-(shares * shares.log2()).sum()) * places.numel() / 8
    assert len(code) < 0.75 * entropy
    assert len(code) < 0.85 * len(zlib.compress(bytes(places.flatten().tolist()), 9))


def test_any_bytes_are_the_code_of_some_numbers() -> None:
    draw, grid = random.Random(1), Grid.of((3, 4, 4))
    for length in (0, 1, 5, 40):
        found = decode(draw.randbytes(length), grid, 5)
        assert len(found) == grid.size and all(0 <= n < 8 for n in found)


def test_channels_of_an_image_help_to_guess_each_other() -> None:
    plane = torch.randint(0, 16, (40, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    images = torch.cat([plane, 15 - plane], dim=1)
    coloured = len(encode(bytes(images.flatten().tolist()), Grid.of((40, 2, 8, 8)), 16))
    as_planes = len(encode(bytes(images.flatten().tolist()), Grid.of((80, 8, 8)), 16))
    assert coloured < 0.85 * as_planes
