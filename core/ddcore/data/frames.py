"""Tables of pandas: how they are read, and the column that names each row's split."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ddcore.errors import InputDataError, MissingExtraError
from ddcore.parts import Spec, stratified_split

SPLIT = "split"
SPLITS = ("train", "validation", "test")
TEST_SHARE = 0.2

Reader = Callable[[Path], pd.DataFrame]
READERS: dict[str, Reader] = {".csv": pd.read_csv, ".parquet": pd.read_parquet}


def read_frame(path: Path, readers: Mapping[str, Reader] | None = None) -> pd.DataFrame:
    """Read a table from a file, by its ending.

    Args:
        path: of a ``.csv`` or ``.parquet`` file.
        readers: of other endings.

    Raises:
        InputDataError: it is not there, is of an unknown kind, or cannot be read.
        MissingExtraError: a package that reads it is not installed.
    """
    known = {**READERS, **(readers or {})}
    if not path.is_file():
        raise InputDataError(f"{path} is not there: give the path of a table")
    if path.suffix not in known:
        raise InputDataError(f"{path} is of an unknown kind: give {', '.join(filter(None, known))}")
    try:
        return known[path.suffix](path)
    except MissingExtraError:
        raise
    except ImportError as error:
        raise MissingExtraError("reading .parquet", "pyarrow", "parquet") from error
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputDataError(f"{path} cannot be read: {error}") from error


def column_names(path: Path) -> frozenset[str]:
    """Return the names of the columns of a table's file. None are known of what cannot be read."""
    try:
        if path.suffix == ".csv":
            return frozenset(map(str, pd.read_csv(path, nrows=0).columns))
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            return frozenset(pq.read_schema(path).names)
    except (ValueError, OSError, ImportError):
        pass
    return frozenset()


def answers_of(title: str, spec: Spec, targets: Tensor) -> dict[str, list[object]]:
    """Return columns of class names, where targets are class ids or distributions over classes.

    A distribution has a column ``title=class`` for each class beside the likeliest.
    """
    if targets.ndim == 1:
        return {title: [spec.name_of(c) for c in targets.tolist()]}
    likeliest: list[object] = [spec.name_of(c) for c in targets.argmax(dim=1).tolist()]
    return {title: likeliest} | {f"{title}={spec.name_of(c)}": targets[:, c].tolist() for c in range(spec.num_classes)}


def given_splits(frame: pd.DataFrame) -> np.ndarray | None:
    """Return each row's split, by the column ``split``. None: there is no such column.

    Raises:
        InputDataError: it holds another word than train, validation and test, or never train.
    """
    if SPLIT not in frame.columns:
        return None
    split: np.ndarray = frame[SPLIT].astype(str).to_numpy(dtype=object)
    strangers = sorted(set(split) - set(SPLITS))
    if strangers:
        raise InputDataError(f"the column {SPLIT!r} holds {strangers[0]!r}: allowed are {', '.join(SPLITS)}")
    if not (split == "train").any():
        raise InputDataError(f"no row has {SPLIT!r} train")
    return split


def splits_of(split: np.ndarray | None, groups: Tensor, validation: float, seed: int) -> tuple[np.ndarray, bool]:
    """Complete the rows' splits, and say whether any was drawn.

    Args:
        split: those that are given. None: a fifth of the rows of each group is for the test.
        groups: class of each row, int64.
        validation: share of the training rows that becomes the validation split, if there is none.
        seed: of what is drawn.
    """
    drawn = split is None
    split = np.full(len(groups), "train", dtype=object) if split is None else split.copy()
    if drawn:
        _carve(split, groups, "test", TEST_SHARE, seed)
    if validation and not (split == "validation").any():
        _carve(split, groups, "validation", validation, seed)
        drawn = True
    return split, drawn


def rows_by_split(split: np.ndarray) -> dict[str, Tensor]:
    """Return the numbers of the rows of each split."""
    return {part: torch.from_numpy(np.flatnonzero(split == part)) for part in SPLITS}


def _carve(split: np.ndarray, groups: Tensor, part: str, share: float, seed: int) -> None:
    """Give a share of the training rows of every group to another split, in place."""
    rows = np.flatnonzero(split == "train")
    chosen = stratified_split(groups[torch.from_numpy(rows)], share, seed)[1]
    split[rows[chosen.numpy()]] = part
