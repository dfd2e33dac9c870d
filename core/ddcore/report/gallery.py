"""Examples as a page shows them, with pictures that need no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from ddcore.parts import Card, modality_named
from ddcore.summary import DataSummary

PER_CLASS = 10
CLASSES = 30
ROWS = 40
LARGEST, LARGEST_DRAWING = 96, 480
"""Sides in pixels to which pictures are reduced: of one example, and of all in one."""
SIDE, SIDE_OF_FEW, FEW = 56, 72, 20
"""About how wide a small picture is shown, and one of few. Factors are whole: pixels are square."""


@dataclass(frozen=True)
class Picture:
    """A picture inside of a page.

    Attributes:
        address: a ``data:`` address with all of it.
        says: its text alternative.
        width, height: in pixels of the page.
    """

    address: str
    says: str
    width: int
    height: int


@dataclass(frozen=True)
class Shown:
    """A card whose pictures can stand in a page.

    Attributes:
        title: what the examples have in common.
        pictures, lines, columns, rows: as in `Card`.
    """

    title: str
    pictures: tuple[Picture, ...]
    lines: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Gallery:
    """Cards of a summary, and how many more there are."""

    cards: tuple[Shown, ...]
    hidden: int


def gallery_of(summary: DataSummary, most_bytes: int) -> Gallery:
    """Return the examples by class: at most ten each, fewer for ``most_bytes``."""
    per_class = PER_CLASS
    while True:
        cards = _cards(summary, per_class)
        count = sum(len(card.pictures) for card in cards)
        shown = tuple(_shown(card, per_class, SIDE_OF_FEW if count <= FEW else SIDE) for card in cards[:CLASSES])
        size = sum(len(picture.address) for card in shown for picture in card.pictures)
        if size <= most_bytes or per_class == 1:
            return Gallery(shown, len(cards) - len(shown))
        per_class = max(1, per_class // 2)


@dataclass(frozen=True)
class Strip:
    """One example, or one line or row, at several steps.

    Attributes:
        title: of its card.
        pictures, lines: at each step; one of them is empty.
    """

    title: str
    pictures: tuple[Picture, ...]
    lines: tuple[str, ...]


def strips_of(snapshots: Sequence[tuple[int, DataSummary]], most_bytes: int) -> tuple[Strip, ...]:
    """Return the first example of every class through the steps, of as many classes as fit."""
    states = [[_shown(card, 1) for card in _cards(summary, 1)] for _, summary in snapshots]
    found: list[Strip] = []
    size = 0
    for same in zip(*states, strict=False):
        if all(card.pictures for card in same):
            strip = Strip(same[0].title, tuple(card.pictures[0] for card in same), ())
        else:
            strip = Strip(same[0].title, (), tuple(_first_line(card) for card in same))
        size += sum(len(picture.address) for picture in strip.pictures) + sum(map(len, strip.lines))
        if (found and size > most_bytes) or len(found) == PER_CLASS:
            break
        found.append(strip)
    return tuple(found)


def _first_line(card: Shown) -> str:
    if card.lines:
        return card.lines[0]
    return (
        ", ".join(f"{column} {value}" for column, value in zip(card.columns, card.rows[0], strict=True))
        if card.rows
        else ""
    )


def _cards(summary: DataSummary, per_class: int) -> list[Card]:
    return modality_named(summary.spec.modality).cards(summary.decoded(), per_class)


def _shown(card: Card, per_class: int, side: int = SIDE) -> Shown:
    pictures = zip(card.pictures[:per_class], card.says, strict=False)
    largest = LARGEST_DRAWING if len(card.pictures) == 1 and card.columns else LARGEST
    return Shown(
        card.title,
        tuple(_picture(pixels, says, largest, side) for pixels, says in pictures),
        card.lines,
        card.columns,
        card.rows[:ROWS],
    )


def _picture(pixels: Tensor, says: str, largest: int, side: int) -> Picture:
    image = Image.fromarray(pixels.numpy())
    if max(image.size) > largest:
        image.thumbnail((largest, largest))
    factor = max(1, round(side / image.width))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True) if image.width < SIDE else image.save(buffer, "WEBP", quality=88)
    kind = "png" if image.width < SIDE else "webp"
    address = f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Picture(address, says, image.width * factor, image.height * factor)
