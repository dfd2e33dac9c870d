"""Labels that are texts: the names of classes, in the order of their ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ddcore.errors import InputDataError


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return distinct names in the order of their class ids: numbers by value, then texts."""
    return tuple(
        sorted(set(names), key=lambda text: (not text.isdecimal(), int(text) if text.isdecimal() else 0, text))
    )


def are_texts(labels: object) -> bool:
    """Whether labels are texts, in a list or an array."""
    found = np.asarray(labels) if isinstance(labels, list | tuple) else labels
    if not isinstance(found, np.ndarray) or not len(found):
        return False
    return found.dtype.kind == "U" or (found.dtype.kind == "O" and all(isinstance(text, str) for text in found.flat))


def ids_of(labels: Any, names: Sequence[str], title: str) -> np.ndarray[Any, Any]:
    """Return the class id of each label, int64.

    Args:
        labels: texts.
        names: of the classes, by id.
        title: name of the split, for the message.

    Raises:
        InputDataError: a label is not among the names.
    """
    number_of = {name: number for number, name in enumerate(names)}
    texts = [str(text) for text in np.asarray(labels).flat]
    strangers = sorted(set(texts) - set(number_of))
    if strangers:
        raise InputDataError(
            f"{title} label {strangers[0]!r} is not among the classes {', '.join(names[:10])}"
            + (", ..." if len(names) > 10 else "")
        )
    return np.array([number_of[text] for text in texts], dtype=np.int64)
