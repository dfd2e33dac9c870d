"""Warnings of the library, as lines of a command."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ddcore.errors import DistillationWarning


@contextmanager
def in_one_line(command: str) -> Iterator[None]:
    """Print the library's warnings as one line on standard error, without a place in its code."""
    others = warnings.showwarning

    def shown(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, DistillationWarning):
            print(f"{command}: warning: {' '.join(str(message).split())}", file=sys.stderr)
        else:
            others(message, category, *place, **more)

    warnings.showwarning = shown
    try:
        yield
    finally:
        warnings.showwarning = others
