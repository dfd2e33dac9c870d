"""Where sentences come from: tables, folders, tab-separated files, datasets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ddcore.data.frames import READERS, SPLIT, SPLITS, column_names, read_frame
from ddcore.data.hugging_face import class_column, frame_of_dataset, is_hugging_face
from ddcore.errors import InputDataError, UnknownNameError

LABELS = ("label", "category", "class", "target")
LINES = ("", ".tsv", ".txt")
"""Endings of files of lines: a label, a tab and a sentence."""


def is_table_of_sentences(frame: pd.DataFrame) -> bool:
    """Whether a table has a column ``text`` and one that names a class."""
    return _are_of_sentences(frozenset(map(str, frame.columns)))


def _are_of_sentences(columns: frozenset[str]) -> bool:
    return "text" in columns and bool(columns & set(LABELS))


def is_dataset_of_sentences(source: Any) -> bool:
    """Whether a ``datasets.Dataset``, or each of a dictionary, has the columns of sentences."""
    if not is_hugging_face(source):
        return False
    parts = source.values() if isinstance(source, Mapping) else [source]
    columns = [frozenset(part.column_names or ()) for part in parts]
    named = class_column(source) is not None
    return all("text" in found if named else _are_of_sentences(found) for found in columns)


def is_text_source(path: Path) -> bool:
    """Whether a file or a folder holds sentences. Of a table the columns' names are read."""
    try:
        if path.is_dir():
            return (path / "train.csv").is_file() and is_text_source(path / "train.csv")
        if path.suffix in READERS:
            return _are_of_sentences(column_names(path))
        return path.suffix in LINES and _is_label_and_text(path)
    except OSError:
        return False


def _is_label_and_text(path: Path) -> bool:
    """Whether the first line is a word, a tab and a sentence."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline(2**16)
    label, tab, sentence = first.partition(b"\t")
    return bool(tab) and bool(label) and b" " not in label and b" " in sentence.strip() and b"\0" not in first


def frame_of(source: Any, label: str | None) -> tuple[pd.DataFrame, str]:
    """Return sentences as a table of ``text``, ``label`` and perhaps ``split``, and a name.

    Args:
        source: as `load_text` takes it.
        label: the column of the classes. None: the first known name.
    """
    if isinstance(source, pd.DataFrame):
        return _checked(source, label), "text"
    if isinstance(source, str | Path):
        path = Path(source)
        return _checked(_read(path), label), path.stem or str(path)
    if is_hugging_face(source):
        return _checked(frame_of_dataset(source), label), "text"
    raise InputDataError(
        f"cannot read sentences from {type(source).__name__}: give a DataFrame or a file with columns text and label, a "
        "folder with train.csv and test.csv, or a datasets.Dataset"
    )


def _read(path: Path) -> pd.DataFrame:
    if path.is_dir():
        parts = {split: path / f"{split}.csv" for split in SPLITS if (path / f"{split}.csv").is_file()}
        if "train" not in parts:
            raise InputDataError(f"{path} has no train.csv")
        return pd.concat([_read(file).assign(split=split) for split, file in parts.items()], ignore_index=True)
    return read_frame(path, dict.fromkeys(LINES, _lines))


def _lines(path: Path) -> pd.DataFrame:
    lines = [line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    odd = next((i for i, parts in enumerate(lines) if len(parts) != 2), None)
    if odd is not None:
        raise InputDataError(f"{path}: line {odd + 1} is no label, a tab and a sentence")
    return pd.DataFrame(lines, columns=["label", "text"])


def _checked(frame: pd.DataFrame, label: str | None) -> pd.DataFrame:
    frame = frame.rename(columns=str)
    if "text" not in frame:
        raise InputDataError(f"sentences stand in a column 'text'; there are {', '.join(frame.columns[:10])}")
    named = label or next((name for name in LABELS if name in frame), None)
    if named is None:
        raise InputDataError(f"which column holds the classes? target= is one of {', '.join(frame.columns[:10])}")
    if named not in frame:
        raise UnknownNameError("column", named, frame.columns)
    kept = frame[["text", named, *([SPLIT] if SPLIT in frame else [])]].rename(columns={named: "label"})
    missing = kept.isna().sum()
    if missing.any():
        raise InputDataError(f"values are missing in {missing.idxmax()!r} ({int(missing.max())}): drop those rows")
    if not len(kept):
        raise InputDataError("there are no sentences")
    kept = kept.assign(text=kept["text"].astype(str), label=kept["label"].astype(str)).reset_index(drop=True)
    empty = kept["text"].str.strip() == ""
    if empty.any():
        raise InputDataError(
            f"{int(empty.sum())} sentences are empty, the first in row {int(empty.idxmax())}: drop them"
        )
    return kept
