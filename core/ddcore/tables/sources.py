"""Where tables come from: sets of scikit-learn, arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ddcore.errors import InputDataError


def _embedded(name: str) -> Callable[[Path], Any]:
    def load(root: Path) -> Any:
        from sklearn import datasets

        return getattr(datasets, f"load_{name}")()

    return load


def _fetched(name: str) -> Callable[[Path], Any]:
    def load(root: Path) -> Any:
        from sklearn import datasets

        fetch = getattr(datasets, f"fetch_{name}")
        try:
            return fetch(data_home=str(root), download_if_missing=False)
        except OSError as error:
            raise InputDataError(
                f"{name} is not in {root}: fetch it once with sklearn.datasets.fetch_{name}(data_home={str(root)!r})"
            ) from error

    return load


NAMED: dict[str, Callable[[Path], Any]] = {
    "breast-cancer": _embedded("breast_cancer"),
    "wine": _embedded("wine"),
    "iris": _embedded("iris"),
    "digits": _embedded("digits"),
    "diabetes": _embedded("diabetes"),
    "covertype": _fetched("covtype"),
    "california-housing": _fetched("california_housing"),
}
"""Sets of scikit-learn by name. Those that it does not bring must have been fetched before."""


def is_bunch(source: object) -> bool:
    """Whether ``source`` is what scikit-learn's loaders return."""
    return isinstance(source, Mapping) and "data" in source and "target" in source


def frame_of_bunch(bunch: Any) -> pd.DataFrame:
    """Return a bunch as a table, its target in the column ``target``, with names if it has them."""
    data, target = bunch["data"], np.asarray(bunch["target"])
    if hasattr(data, "toarray") or np.ndim(data) != 2:
        raise InputDataError(f"the rows of a bunch must be a dense array n x d, not {type(data).__name__}")
    frame = data.copy() if isinstance(data, pd.DataFrame) else _rows(data, bunch.get("feature_names"))
    frame.columns = [str(column) for column in frame.columns]
    if "target" in frame.columns:
        raise InputDataError("a feature of the bunch is named 'target': rename it, or pass a DataFrame with target=")
    classes = bunch.get("target_names")
    whole = target.ndim == 1 and target.dtype.kind in "iu"
    if whole and classes is not None and len(target) and target.min() >= 0 and target.max() < len(classes):
        target = np.array([str(classes[i]) for i in target])
    return _with_target(frame, target)


def frame_of_arrays(arrays: Any) -> pd.DataFrame:
    """Return ``(x, y)`` or ``(x_train, y_train, x_test, y_test)`` as one table.

    Of four arrays, a column ``split`` tells training and test rows apart.
    """
    parts = [_array(part) for part in arrays]
    frames = [_with_target(_rows(x, None), y) for x, y in zip(parts[::2], parts[1::2], strict=True)]
    if len({frame.shape[1] for frame in frames}) > 1:
        raise InputDataError("training and test rows differ in their number of columns")
    if len(frames) == 1:
        return frames[0]
    return pd.concat([frames[0].assign(split="train"), frames[1].assign(split="test")], ignore_index=True)


def _rows(data: Any, names: Any) -> pd.DataFrame:
    data = np.asarray(data)
    if data.ndim != 2:
        raise InputDataError(f"rows must be n x d, not of shape {data.shape}")
    columns = [f"x{i}" for i in range(data.shape[1])] if names is None or len(names) != data.shape[1] else names
    return pd.DataFrame(data, columns=columns)


def _with_target(frame: pd.DataFrame, target: Any) -> pd.DataFrame:
    target = target[:, 0] if target.ndim == 2 and target.shape[1] == 1 else target
    if target.ndim != 1 or len(target) != len(frame):
        raise InputDataError(f"{len(frame)} rows need one target each, not an array of shape {target.shape}")
    return frame.assign(target=target)


def _array(part: Any) -> Any:
    return part.detach().cpu().numpy() if isinstance(part, torch.Tensor) else np.asarray(part)
