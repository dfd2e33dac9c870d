"""Where data that were fetched are kept, and pixels that were decoded."""

from __future__ import annotations

import os
from pathlib import Path


def data_root(root: str | Path | None = None) -> Path:
    """Return ``root``, else the folder that ``DDCORE_DATA`` names, else ``~/.cache/ddcore``."""
    return Path(root or os.environ.get("DDCORE_DATA") or Path.home() / ".cache" / "ddcore")


def cache_root(root: str | Path | None = None) -> Path:
    """Return the folder that ``DDCORE_CACHE`` names, else ``cache`` in `data_root`."""
    return Path(os.environ.get("DDCORE_CACHE") or data_root(root) / "cache")
