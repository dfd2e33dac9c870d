"""Names of the arrays in a ``.npz`` file."""

from __future__ import annotations

import zipfile
from pathlib import Path


def holds(path: Path) -> set[str]:
    """Return the names of a file's arrays; none if it is no ``.npz``."""
    if path.suffix != ".npz" or not path.is_file() or not zipfile.is_zipfile(path):
        return set()
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}
