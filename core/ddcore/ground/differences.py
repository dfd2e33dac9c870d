"""The first difference between two JSON values, in words."""

from __future__ import annotations

import json
from typing import Any


def difference(ours: Any, wanted: Any, path: str) -> str:
    """Return the first difference between two values in words, or an empty text.

    Args:
        ours: what is there, "theirs" in the words.
        wanted: what a run needs.
        path: how the words name the value; entries of dictionaries follow it with dots.
    """
    if isinstance(ours, dict) and isinstance(wanted, dict):
        for key in sorted({*ours, *wanted}):
            found = difference(ours.get(key), wanted.get(key), f"{path}.{key}")
            if found:
                return found
        return ""
    return "" if ours == wanted else f"their {path} is {_short(ours)}, the run's is {_short(wanted)}"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:80] + "..."
