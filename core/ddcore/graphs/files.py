"""Arrays of an ``.npz`` file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ddcore.errors import InputDataError


def holds(path: Path) -> set[str]:
    """Return the names of a file's arrays; none if it is no ``.npz``."""
    if path.suffix != ".npz" or not path.is_file() or not zipfile.is_zipfile(path):
        return set()
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def arrays_of(path: Path) -> dict[str, Any]:
    """Return a file's arrays by name."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputDataError(f"{path} cannot be read: {error}") from error
