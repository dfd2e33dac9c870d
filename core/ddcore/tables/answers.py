"""From the column that is predicted to targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ddcore.errors import InputDataError, UnknownNameError
from ddcore.parts import Classification, Regression, Task
from ddcore.tables.columns import LARGEST, require_name
from ddcore.tables.encoding import is_number

MOST_CLASSES = 20
"""A column with more different whole numbers than this holds numbers to predict, not classes."""


def task_of(answers: pd.Series, wanted: str | None) -> Task:
    """Return the task that is wanted, or else the one that the column's values tell."""
    kinds: dict[str, Task] = {kind.name: kind() for kind in (Classification, Regression)}
    if wanted is not None:
        if wanted not in kinds:
            raise UnknownNameError("task", wanted, kinds)
        return kinds[wanted]
    few = is_number(answers) and _whole(answers) and answers.nunique() <= MOST_CLASSES
    return kinds["classification" if few or not is_number(answers) else "regression"]


def _whole(answers: pd.Series) -> bool:
    values = answers.to_numpy(dtype=np.float64)
    return bool(np.isfinite(values).all()) and bool((values == np.round(values)).all())


def _texts(answers: pd.Series) -> list[str]:
    if not is_number(answers):
        return [str(value) for value in answers]
    if not _whole(answers):
        raise InputDataError(f"{answers.name} holds numbers that are not whole: no classes, but a task of regression")
    return [str(int(value)) for value in answers]


def class_names_of(answers: pd.Series, declared: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the classes in the order of their ids.

    They are the declared ones, or else all that are found, sorted.
    """
    if declared is not None:
        names = tuple(map(str, declared))
        if len(set(names)) < len(names):
            raise InputDataError(f"class_names= names a class twice: {', '.join(names[:10])}")
        return names
    found = set(_texts(answers))
    for name in found:
        require_name(name)
    return tuple(sorted(found, key=int) if is_number(answers) else sorted(found))


def class_ids_of(answers: pd.Series, names: Sequence[str]) -> Tensor:
    """Return the class id of each row, int64."""
    number_of = {name: i for i, name in enumerate(names)}
    texts = _texts(answers)
    strangers = sorted(set(texts) - set(number_of))
    if strangers:
        raise InputDataError(
            f"{answers.name} holds {strangers[0]!r}, which is not among the classes {', '.join(names[:10])}"
        )
    return torch.tensor([number_of[text] for text in texts], dtype=torch.int64)


def numbers_of(answers: pd.Series) -> Tensor:
    """Return the number of each row, ``n x 1`` in float64."""
    if not is_number(answers):
        raise InputDataError(f"{answers.name} holds {answers.iloc[0]!r}, which is no number to predict")
    numbers = answers.to_numpy(dtype=np.float64)
    if not bool((np.abs(numbers) <= LARGEST).all()):
        raise InputDataError(f"{answers.name} holds infinity or numbers beyond {LARGEST:g}: clean the data first")
    return torch.from_numpy(numbers.copy())[:, None]
