"""Where interactions come from: tables, MovieLens' zip, HDF5 and sparse matrices."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ddcore.data.frames import SPLIT, SPLITS, column_names, read_frame
from ddcore.errors import InputDataError, MissingExtraError

COLUMNS = ("user", "item", "rating", "time", SPLIT)
PAIR = frozenset(COLUMNS[:2])
MOVIELENS = {"userId": "user", "movieId": "item", "timestamp": "time"}
HDF5 = (".hdf5", ".h5")


def is_table_of_pairs(frame: pd.DataFrame) -> bool:
    """Whether a table names users and items."""
    return set(map(str, frame.columns)) >= PAIR


def is_interactions_file(path: Path) -> bool:
    """Whether a file holds interactions. Of tables the names of the columns are read."""
    try:
        if path.suffix == ".zip":
            return _movielens_member(path) is not None
    except (OSError, zipfile.BadZipFile):
        return False
    return path.suffix in HDF5 or column_names(path) >= PAIR


def is_sparse_matrix(source: object) -> bool:
    """Whether ``source`` is a sparse matrix of scipy or torch."""
    if isinstance(source, torch.Tensor):
        return source.layout != torch.strided and source.ndim == 2
    return hasattr(source, "tocoo") and len(getattr(source, "shape", ())) == 2


def frame_of(source: Any) -> tuple[pd.DataFrame, str]:
    """Return pairs as a table of known columns, and a name for them.

    Raises:
        InputDataError: the columns are not there, or a value is missing.
    """
    if isinstance(source, pd.DataFrame):
        return _checked(source), "interactions"
    if isinstance(source, str | Path):
        return _checked(read_frame(Path(source), {".zip": _movielens, **dict.fromkeys(HDF5, _hdf5)})), Path(
            source
        ).parent.name if Path(source).suffix in HDF5 else Path(source).stem
    if is_sparse_matrix(source):
        return _frame_of_matrix(source), "interactions"
    raise InputDataError(
        f"cannot read interactions from {type(source).__name__}: give a DataFrame or a file with columns user and item, "
        "MovieLens' zip, or a sparse matrix"
    )


def _movielens_member(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.split("/")[-1] in ("ratings.csv", "ratings.dat")]
    return names[0] if names else None


def _movielens(path: Path) -> pd.DataFrame:
    member = _movielens_member(path)
    if member is None:
        raise InputDataError(f"{path} holds no ratings.csv or ratings.dat: is it MovieLens' archive?")
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        if member.endswith(".csv"):
            return pd.read_csv(file).rename(columns=MOVIELENS)
        return pd.read_csv(file, sep="::", engine="python", names=["user", "item", "rating", "time"])


def _hdf5(path: Path) -> pd.DataFrame:
    """Read ``user``, ``item`` and ``rating``; ``index.npz`` beside it tells the splits."""
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("reading .hdf5", "h5py", "interactions") from error
    with h5py.File(path, "r") as file:
        frame = pd.DataFrame({name: file[name][:] for name in ("user", "item", "rating")})
    index = path.parent / "index.npz"
    if not index.is_file():
        return frame
    with np.load(index) as held:
        codes = held["data"]
    if len(codes) != len(frame):
        raise InputDataError(f"{index} splits {len(codes)} pairs, {path.name} has {len(frame)}")
    names = [SPLITS[code] if code < len(SPLITS) else str(code) for code in codes[codes >= 0].tolist()]
    return frame[codes >= 0].assign(**{SPLIT: names})


def _frame_of_matrix(matrix: Any) -> pd.DataFrame:
    if isinstance(matrix, torch.Tensor):
        coo = matrix.detach().cpu().to_sparse_coo().coalesce()
        (rows, columns), values = coo.indices().numpy(), coo.values().numpy()
    else:
        held = matrix.tocoo()
        rows, columns, values = held.row, held.col, held.data
    if not bool(np.isfinite(values).all()):
        raise InputDataError("the matrix holds NaN or infinity: clean the data first")
    present = values != 0
    return pd.DataFrame({"user": rows[present], "item": columns[present], "rating": values[present]})


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.rename(columns=str)
    absent = [column for column in COLUMNS[:2] if column not in frame]
    if absent:
        raise InputDataError(
            f"interactions need columns 'user' and 'item'; {absent[0]!r} is not among {', '.join(frame.columns[:10])}"
        )
    frame = frame[[column for column in COLUMNS if column in frame]]
    missing = frame.isna().sum()
    if missing.any():
        raise InputDataError(f"values are missing in {missing.idxmax()!r} ({int(missing.max())}): drop those rows")
    return frame.reset_index(drop=True)
