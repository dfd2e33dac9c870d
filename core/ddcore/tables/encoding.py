"""From the columns of a table to inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ddcore.errors import InputDataError, SettingsError
from ddcore.tables.columns import LARGEST, MAX_CATEGORIES, Column, require_name


def as_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns are named by texts; numbers among objects are numbers."""
    return frame.rename(columns=str).infer_objects()


def refuse_missing(frame: pd.DataFrame) -> None:
    """Raise `InputDataError` if rows or a value are missing, or two columns share a name."""
    if not len(frame):
        raise InputDataError("the table has no rows")
    if frame.columns.has_duplicates:
        raise InputDataError(f"two columns are named {frame.columns[frame.columns.duplicated()][0]!r}: rename one")
    for name in frame.columns:
        _require_name(name, "a column")
    missing = frame.isna().sum()
    missing = missing[missing > 0]
    if len(missing):
        raise InputDataError(
            f"values are missing in {', '.join(f'{column} ({n})' for column, n in missing.items())}: fill them "
            "(frame.fillna(...)), or drop the rows (frame.dropna()) or the columns"
        )


def is_number(values: pd.Series) -> bool:
    """Whether a column holds numbers. Truth values are categories, not numbers."""
    return values.dtype.kind in "iuf" or bool(
        pd.api.types.is_extension_array_dtype(values.dtype)
        and pd.api.types.is_numeric_dtype(values.dtype)
        and not pd.api.types.is_bool_dtype(values.dtype)
    )


def columns_of(frame: pd.DataFrame) -> tuple[Column, ...]:
    """Return the columns that become inputs.

    Raises:
        InputDataError: a column holds neither numbers nor at most ``MAX_CATEGORIES`` categories.
    """
    if not len(frame.columns):
        raise InputDataError("the table has no column but the one that is predicted")
    return tuple(Column(str(name), _categories(frame[name])) for name in frame.columns)


def _categories(values: pd.Series) -> tuple[str, ...]:
    if is_number(values):
        return ()
    times = (pd.DatetimeTZDtype, pd.PeriodDtype, pd.IntervalDtype)
    if isinstance(values.dtype, times) or values.dtype.kind in "mM":
        raise InputDataError(f"column {values.name!r} holds times: turn them into numbers, or drop the column")
    if values.dtype.kind == "c":
        raise InputDataError(f"column {values.name!r} holds complex numbers: split them into two columns")
    found = tuple(sorted(set(values.astype(str))))
    for text in found:
        _require_name(text, f"column {values.name!r}")
    if len(found) > MAX_CATEGORIES:
        raise InputDataError(
            f"column {values.name!r} has {len(found)} different texts, {MAX_CATEGORIES} at most become inputs: drop it "
            "(an identifier tells nothing), or group them"
        )
    return found


def _require_name(text: str, where: str) -> None:
    try:
        require_name(text)
    except SettingsError as error:
        raise InputDataError(f"{where} has a name that a summary cannot keep: {error}") from error


def encoded(frame: pd.DataFrame, columns: Sequence[Column]) -> Tensor:
    """Return the rows as inputs, ``n x d`` in float64. An unknown category becomes zeros.

    Raises:
        InputDataError: a column is absent, or one of numbers holds something else.
    """
    absent = [column.name for column in columns if column.name not in frame.columns]
    if absent:
        raise InputDataError(f"the table has no column {absent[0]!r}; it has {', '.join(map(str, frame.columns[:10]))}")
    parts = []
    for column in columns:
        values = frame[column.name]
        if column.categories:
            parts.append(values.astype(str).to_numpy()[:, None] == np.array(column.categories)[None, :])
        elif is_number(values):
            parts.append(_finite(values)[:, None])
        else:
            raise InputDataError(f"column {column.name!r} holds {values.iloc[0]!r} where numbers are meant")
    return torch.from_numpy(np.concatenate([part.astype(np.float64) for part in parts], axis=1))


def _finite(values: pd.Series) -> np.ndarray:
    numbers: np.ndarray = values.to_numpy(dtype=np.float64)
    if not bool((np.abs(numbers) <= LARGEST).all()):
        raise InputDataError(
            f"column {values.name!r} holds infinity or numbers beyond {LARGEST:g}: clean the data first"
        )
    return numbers
