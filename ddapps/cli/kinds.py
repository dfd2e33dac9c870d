"""Kinds of arguments: each reads a word, or says what is wrong with it and what is allowed."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

from ddcore.callbacks import PROGRESS, SNAPSHOTS
from ddcore.errors import OutputExistsError
from ddcore.ground import is_address

CONFIG = "config.json"
"""The file by which a folder is known to hold a summary."""
OWN = (CONFIG, "checkpoint.", "last-good", PROGRESS, SNAPSHOTS)
"""How names begin that a run of distillation leaves in its folder."""


def whole(least: int = 1) -> Callable[[str], int]:
    """Return the kind of whole numbers of ``least`` or more."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is no whole number: give one of {least} or more") from None
        if number < least:
            raise ArgumentTypeError(f"{text} is too small: give a whole number of {least} or more")
        return number

    return read


def number(least: float = 0.0, most: float = math.inf, *, ends: bool = False) -> Callable[[str], float]:
    """Return the kind of numbers between ``least`` and ``most``.

    Args:
        least: what they are above.
        most: what they are below.
        ends: whether both are allowed as well.
    """
    lower = f"of {least:g} or more" if ends else f"above {least:g}"
    upper = f"{most:g} at most" if ends else f"below {most:g}"
    allowed = lower if most == math.inf else f"{lower} and {upper}"

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is no number: give one {allowed}") from None
        if not least < value < most and not (ends and value in (least, most) and math.isfinite(value)):
            raise ArgumentTypeError(f"{text} is out of range: give a number {allowed}")
        return value

    return read


def existing(what: str) -> Callable[[str], Path]:
    """Return the kind of paths at which ``what`` lies."""

    def read(text: str) -> Path:
        if not text.strip() or not Path(text).exists():
            raise ArgumentTypeError(f"{text!r} is not there: give {what}")
        return Path(text)

    return read


def each_existing(what: str) -> Callable[[str], tuple[Path, ...]]:
    """Return the kind of paths, comma-separated, at each of which ``what`` lies."""
    return lambda text: tuple(map(existing(what), text.split(",")))


def summary(text: str) -> Path | str:
    """Return the folder of a summary, or its address."""
    if is_address(text):
        return text
    path = Path(text)
    if not (text.strip() and (path / CONFIG).exists()):
        state = "holds no summary" if text.strip() and path.exists() else "is not there"
        raise ArgumentTypeError(f"{text!r} {state}: give the folder that 'ddapps distill --out' wrote")
    return path


def folder(text: str) -> Path:
    """Return the path of a folder that is written to, or will be made."""
    if not text.strip():
        raise ArgumentTypeError(f"{text!r} names no folder: give one that is written to, such as out/dm")
    if Path(text).exists() and not Path(text).is_dir():
        raise ArgumentTypeError(f"{text!r} is a file: give a folder that is written to")
    return Path(text)


def require_own(out: Path, overwrite: bool) -> None:
    """Raise `OutputExistsError` if a run would write among files that are not its own."""
    if overwrite or not out.exists():
        return
    held = sorted(path.name.lstrip(".") for path in out.iterdir())
    if held and not any(name.startswith(OWN) for name in held):
        named = ", ".join(held[:3]) + (", ..." if len(held) > 3 else "")
        raise OutputExistsError(
            f"--out {out} holds other files ({named}): choose a new or an empty folder, or --overwrite to write among them"
        )


def file(text: str) -> Path:
    """Return the path of a file that is written."""
    if not text.strip() or Path(text).is_dir():
        state = "is a folder" if text.strip() else "names no file"
        raise ArgumentTypeError(f"{text!r} {state}: give the file that is written")
    return Path(text)


def page_file(text: str) -> Path:
    """Return the path of a page that is written."""
    path = file(text)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ArgumentTypeError(f"{text!r} is no page: give a name that ends in .html")
    return path


def json_file(text: str) -> str:
    """Return the name of a file that is written; ``-`` is standard output."""
    return text if text == "-" else str(file(text))
