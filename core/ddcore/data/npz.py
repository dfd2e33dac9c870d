"""Arrays of a ``.npz`` file. None of them is unpickled."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ddcore.errors import InputDataError


def read_npz(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read a ``.npz`` file; pickled objects in it are refused."""
    try:
        if not zipfile.is_zipfile(path):
            raise InputDataError(f"{path} is damaged, or no .npz file: numpy.savez writes such files")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except ValueError as error:
        if isinstance(error, InputDataError):
            raise
        if "allow_pickle" in str(error):
            raise InputDataError(
                f"{path} holds an array of objects, which is refused since reading it may run code: save arrays of numbers "
                "or texts"
            ) from error
        raise InputDataError(f"{path} is damaged: {error}") from error
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError) as error:
        raise InputDataError(f"{path} is damaged: {error}") from error
