"""From the columns of a table to inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.tables.columns import MAX_CATEGORIES, Column


def refuse_missing(frame: pd.DataFrame) -> None:
    """Raise `InputDataError` if rows or a value are missing, or two columns share a name."""
    if not len(frame):
        raise InputDataError("the table has no rows")
    if frame.columns.has_duplicates:
        raise InputDataError(f"two columns are named {frame.columns[frame.columns.duplicated()][0]!r}: rename one")
    missing = frame.isna().sum()
    missing = missing[missing > 0]
    if len(missing):
        raise InputDataError(
            f"values are missing in {', '.join(f'{column} ({n})' for column, n in missing.items())}: fill them "
            "(frame.fillna(...)), or drop the rows (frame.dropna()) or the columns"
        )


def is_number(values: pd.Series) -> bool:
    """Whether a column holds numbers. Truth values are categories, not numbers."""
    return bool(pd.api.types.is_numeric_dtype(values)) and not bool(pd.api.types.is_bool_dtype(values))


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
    if pd.api.types.is_datetime64_any_dtype(values) or pd.api.types.is_timedelta64_dtype(values):
        raise InputDataError(f"column {values.name!r} holds times: turn them into numbers, or drop the column")
    found = tuple(sorted(set(values.astype(str))))
    if len(found) > MAX_CATEGORIES:
        raise InputDataError(
            f"column {values.name!r} has {len(found)} different texts, {MAX_CATEGORIES} at most become inputs: drop it "
            "(an identifier tells nothing), or group them"
        )
    return found


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
    if not bool(np.isfinite(numbers).all()):
        raise InputDataError(f"column {values.name!r} holds infinity: clean the data first")
    return numbers
