"""Datasets of Hugging Face, known by what they can do: their package is not imported."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ddcore.data.frames import SPLIT
from ddcore.errors import DistillationWarning, InputDataError

WORDS = {"train": "train", "test": "test", "validation": "validation", "valid": "validation", "val": "validation"}
"""What splits are called, and which split it is."""


def is_hugging_face(source: object) -> bool:
    """Whether ``source`` is a ``datasets.Dataset``, or a dictionary of some by split."""
    if isinstance(source, Mapping):
        return bool(source) and all(is_hugging_face(part) for part in source.values())
    return hasattr(source, "column_names") and hasattr(source, "features")


def has_column(source: Any, kinds: Sequence[str]) -> bool:
    """Whether a dataset has a column of one of these kinds of features, such as ``Image``."""
    return bool(_columns(source, kinds))


def parts_of(source: Any) -> dict[str, Any]:
    """Return the datasets by split: ``train``, and perhaps ``test`` and ``validation``.

    Splits of other names are left out; a warning says which.

    Raises:
        InputDataError: there is no split ``train``, two are the same one, or it is a stream.
    """
    parts = dict(source) if isinstance(source, Mapping) else {"train": source}
    if not all(hasattr(part, "__len__") for part in parts.values()):
        raise InputDataError("a streamed dataset has no length: load it without streaming=True")
    known = {WORDS[word]: part for word, part in parts.items() if word in WORDS}
    roles = [WORDS[word] for word in parts if word in WORDS]
    if len(roles) != len(known):
        words = ", ".join(word for word in parts if roles.count(WORDS.get(word, "")) > 1)
        raise InputDataError(f"the splits {words} of the dataset mean the same: leave one, or join them")
    if "train" not in known:
        raise InputDataError(f"the dataset has no split 'train', only {', '.join(map(str, parts))}: name one so")
    others = [str(word) for word in parts if word not in WORDS]
    if others:
        warnings.warn(
            f"splits {', '.join(others)} of the dataset are left out: known are {', '.join(WORDS)}",
            DistillationWarning,
            stacklevel=2,
        )
    return known


def class_column(source: Any) -> str | None:
    """Return the only column of the kind ``ClassLabel``; None: there is none, or several."""
    found = _columns(source, ("ClassLabel",))
    return found[0] if len(found) == 1 else None


def class_names_in(source: Any, column: str | None) -> tuple[str, ...] | None:
    """Return the names that a column ``ClassLabel`` declares, by id. None: nothing declares any."""
    if not is_hugging_face(source):
        return None
    names = getattr((_first(source).features or {}).get(column), "names", None)
    return tuple(map(str, names)) if names else None


def frame_of_dataset(source: Any) -> pd.DataFrame:
    """Return a dataset as a table. Of several, a column ``split`` names each row's.

    Columns ``ClassLabel`` hold their names.
    """
    parts, frames = parts_of(source), []
    for split, part in parts.items():
        frame = part.to_pandas()
        for column in _columns(part, ("ClassLabel",)):
            names = np.asarray(part.features[column].names, dtype=object)
            require_labelled(frame[column].to_numpy(), split)
            frame[column] = names[frame[column].to_numpy()]
        frames.append(frame.assign(**{SPLIT: split}) if len(parts) > 1 else frame)
    return pd.concat(frames, ignore_index=True)


def require_labelled(labels: Any, split: str) -> None:
    """Raise `InputDataError` if labels are missing. By the convention of datasets they are -1."""
    if bool((np.asarray(labels) == -1).any()):
        raise InputDataError(f"the split {split!r} has examples without a label (-1): leave them out")


def _columns(source: Any, kinds: Sequence[str]) -> list[str]:
    return [name for name, feature in (_first(source).features or {}).items() if type(feature).__name__ in kinds]


def _first(source: Any) -> Any:
    return next(iter(source.values())) if isinstance(source, Mapping) else source
