"""Where tables come from: sets of scikit-learn, ``.csv`` and ``.parquet`` files, arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ddcore.errors import InputDataError, MissingExtraError

SUFFIXES = (".csv", ".parquet")


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


def data_root(root: str | Path | None) -> Path:
    """Return where fetched sets are kept."""
    return Path(root or os.environ.get("DDCORE_DATA") or Path.home() / ".cache" / "ddcore")


def is_bunch(source: object) -> bool:
    """Whether ``source`` is what scikit-learn's loaders return."""
    return isinstance(source, Mapping) and "data" in source and "target" in source


def frame_of_bunch(bunch: Any) -> pd.DataFrame:
    """Return what scikit-learn's loaders return as a table.

    Its targets become the column ``target``, as names of classes where they are known.
    """
    data = bunch["data"]
    names = bunch.get("feature_names")
    frame = data.copy() if isinstance(data, pd.DataFrame) else pd.DataFrame(np.asarray(data), columns=names)
    frame.columns = [str(column) for column in frame.columns]
    target = np.asarray(bunch["target"])
    classes = bunch.get("target_names")
    named = classes is not None and target.dtype.kind in "iu" and len(classes) > int(target.max(initial=-1))
    frame["target"] = [str(classes[i]) for i in target] if named else target
    return frame


def read_table(path: Path) -> pd.DataFrame:
    """Read a ``.csv`` or ``.parquet`` file."""
    if not path.is_file():
        raise InputDataError(f"{path} is not there")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path)
    except ImportError as error:
        raise MissingExtraError("reading .parquet", "pyarrow", "tables") from error
    except (ValueError, OSError, UnicodeError) as error:
        raise InputDataError(f"{path} cannot be read as a table: {error}") from error


def frame_of_arrays(arrays: Any) -> pd.DataFrame:
    """Return ``(x, y)`` or ``(x_train, y_train, x_test, y_test)`` as one table.

    Four arrays make a column ``split`` too.
    """
    parts = [_array(part) for part in arrays]
    frames = []
    for split, (x, y) in zip(("train", "test"), zip(parts[::2], parts[1::2], strict=True), strict=False):
        if x.ndim != 2 or len(x) != len(y):
            raise InputDataError(f"rows must be n x d with n targets, not {x.shape} with {len(y)}")
        frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])])
        frame["target"] = y.ravel()
        frames.append(frame.assign(split=split) if len(parts) == 4 else frame)
    return pd.concat(frames, ignore_index=True)


def _array(part: Any) -> Any:
    return part.numpy() if isinstance(part, torch.Tensor) else np.asarray(part)
