"""Rows with names: every pixel of a row stays, in order, whatever the number of columns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ddcore.ground import counted, named_rows, shown
from ddcore.ground.pictures import LONGEST, _printable


def rows(count: int, width: int, height: int = 20, margin: int = 2) -> Tensor:
    """Return rows of one colour each, below a margin of white."""
    lines = torch.arange(count, dtype=torch.uint8).repeat_interleave(height)[:, None, None] + 100
    white = torch.full((margin, width, 3), 255, dtype=torch.uint8)
    return torch.cat([white, lines.expand(-1, width, 3)])


@pytest.mark.parametrize(("count", "width"), [(1, 20), (3, 200), (10, 30), (40, 30), (7, 30)])
def test_every_row_is_there_once_and_in_order(count: int, width: int) -> None:
    found = named_rows(rows(count, width), [""] * count, 20).numpy()
    colours = [int(value) for value in np.unique(found) if 100 <= value < 100 + count]
    assert colours == list(range(100, 100 + count))
    places = [np.argwhere((found == colour).all(axis=2)) for colour in colours]
    assert all(len(place) == 20 * width for place in places)
    corners = [(int(place[:, 1].min()), int(place[:, 0].min())) for place in places]
    assert corners == sorted(corners)


def test_many_short_rows_stand_in_columns_and_few_wide_ones_do_not() -> None:
    tall, wide = named_rows(rows(40, 30), ["x"] * 40, 20), named_rows(rows(4, 300), ["x"] * 4, 20)
    assert tall.shape[1] > 3 * 30 and tall.shape[0] < 2 * tall.shape[1]
    assert wide.shape[0] == 4 * 20 + 2 and torch.equal(wide[:, -300:], rows(4, 300))


def test_each_name_is_drawn_left_of_its_own_row() -> None:
    picture = torch.full((3 * 40, 200, 3), 255, dtype=torch.uint8)
    found = named_rows(picture, ["", "cat", ""], 40)
    dark = (found < 128).all(dim=2)
    assert bool(dark[40:80].any()) and not bool(dark[:40].any() or dark[80:].any())
    assert not bool(dark[:, -200:].any())


def test_names_of_strangers_are_cut_and_printable() -> None:
    assert _printable("a\nb\x1b[31m") == "a?b?[31m"
    assert _printable("x" * 500) == "x" * (LONGEST - 1) + "…" and _printable("x" * LONGEST) == "x" * LONGEST
    named_rows(rows(2, 30), ["图像\u202e", "\ud800"], 20)


def test_numbers_in_words() -> None:
    assert (counted(1, "summary", "summaries"), counted(3, "summary", "summaries")) == ("1 summary", "3 summaries")
    assert (counted(0, "epoch"), counted(1, "epoch")) == ("0 epochs", "1 epoch")
    assert (shown(1.236), shown(1.236, 1), shown(float("nan")), shown(None)) == ("1.24", "1.2", "–", "–")  # noqa: RUF001
