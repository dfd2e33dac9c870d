"""HTML for notebooks: tables, pictures and text without scripts, in the colours of the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

from PIL import Image
from torch import Tensor

MUTED = "opacity:.75"
SMALLEST = 48
"""Pixels of a picture's width on the page."""


def card(title: str, facts: str, *parts: str) -> str:
    """Return a block: a title, a line of facts, and parts that are HTML already."""
    head = f'<strong>{escape(title)}</strong><br><span style="{MUTED}">{escape(facts)}</span>'
    return f'<div style="max-width:60em;overflow-x:auto">{head}{"".join(parts)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of plain texts, the first column aligned left, the others right."""
    aligned = ["left", *["right"] * (len(head) - 1)]

    def row(tag: str, cells: Sequence[str]) -> str:
        written = (
            f'<{tag} style="text-align:{side};padding:.2em .8em .2em 0">{escape(cell)}</{tag}>'
            for side, cell in zip(aligned, cells, strict=True)
        )
        return f"<tr>{''.join(written)}</tr>"

    body = "".join(row("td", cells) for cells in rows)
    return f"<table><thead>{row('th', head)}</thead><tbody>{body}</tbody></table>"


def labelled(title: str, *parts: str) -> str:
    """Return parts, which are HTML already, under a title. Such blocks stand side by side."""
    style = "display:inline-block;vertical-align:top;max-width:100%;margin:.3em 1em .3em 0"
    return f'<div style="{style}"><div>{escape(title)}</div>{"".join(parts)}</div>'


def image(picture: Tensor, says: str) -> str:
    """Return a picture, ``height x width x 3`` bytes, and what it says; small ones are enlarged."""
    data, width = base64.b64encode(encoded(picture)).decode(), max(SMALLEST, picture.shape[1])
    style = f"width:{width}px;max-width:100%;margin:1px;image-rendering:pixelated"
    return f'<img src="data:image/png;base64,{data}" alt="{escape(says)}" style="{style}">'


def text(lines: str) -> str:
    """Return text in letters of one width."""
    return f'<pre style="background:none;color:inherit">{escape(lines)}</pre>'


PICTURES: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True},
}
"""How a picture is written, by the ending of its name. JPEG changes pixels a little."""


def encoded(picture: Tensor, ending: str = ".png") -> bytes:
    """Return a picture, ``height x width x 3`` bytes, as a file whose name has this ending."""
    buffer = io.BytesIO()
    Image.fromarray(picture.numpy()).save(buffer, **PICTURES[ending])
    return buffer.getvalue()
