"""Pictures of rows, with a name beside each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

LETTERS, LONGEST, MARGIN = 14, 18, 6
"""Height of letters, most letters of a name, and pixels around it."""


def named_rows(picture: Tensor, names: Sequence[str], height: int) -> Tensor:
    """Return a picture whose rows have their names on the left, ``... x ... x 3`` bytes.

    Rows stand in several columns where one column would be higher than wide.

    Args:
        picture: rows below each other, ``h x w x 3`` bytes. What ``h`` is more than the rows is a
            margin above them.
        names: of the rows. Long ones are cut, and what cannot be printed is a question mark.
        height: of a row.
    """
    font = ImageFont.load_default(LETTERS)
    shown = [_printable(name) for name in names]
    left = math.ceil(max(font.getlength(name) for name in shown)) + 2 * MARGIN
    margin, width = picture.shape[0] - len(names) * height, left + picture.shape[1]
    columns = 1
    while (columns + 1) * width <= math.ceil(len(names) / (columns + 1)) * height:
        columns += 1
    each = math.ceil(len(names) / columns)
    whole = torch.full((each * height + margin, columns * width, 3), 255, dtype=torch.uint8)
    for place in range(len(names)):
        column, row = divmod(place, each)
        top, start = margin + row * height, margin + place * height
        whole[top : top + height, column * width + left : (column + 1) * width] = picture[start : start + height]
    image = Image.fromarray(whole.numpy())
    draw = ImageDraw.Draw(image)
    for place, name in enumerate(shown):
        column, row = divmod(place, each)
        middle = (column * width + MARGIN, margin + (row + 0.5) * height)
        draw.text(middle, name, fill="black", font=font, anchor="lm")
    return torch.from_numpy(np.asarray(image).copy())


def _printable(name: str) -> str:
    kept = "".join(letter if letter.isprintable() else "?" for letter in name[: LONGEST + 1])
    return kept if len(kept) <= LONGEST else f"{kept[: LONGEST - 1]}…"
