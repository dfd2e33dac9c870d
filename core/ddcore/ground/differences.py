"""What differs between two JSON values, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def differences(theirs: Any, ours: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield what differs between two values: its name, the value there, and the value here.

    Args:
        theirs: the value there.
        ours: the value here.
        path: name of both; entries of dictionaries and lists follow it with dots.
    """
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted({*theirs, *ours}):
            yield from differences(theirs.get(key), ours.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours) and _nested(theirs + ours):
        for place, pair in enumerate(zip(theirs, ours, strict=True)):
            yield from differences(*pair, f"{path}.{place}")
    elif theirs != ours:
        yield path, theirs, ours


def _nested(values: list[Any]) -> bool:
    """Whether some values have entries of their own. Numbers are read together, as a shape is."""
    return any(isinstance(value, dict | list) for value in values)


def difference(ours: Any, wanted: Any, path: str) -> str:
    """Return the first difference between two values in words, or an empty text.

    Args:
        ours: what is there, "theirs" in the words.
        wanted: what a run needs.
        path: how the words name the value; entries of dictionaries follow it with dots.
    """
    for name, there, here in differences(ours, wanted, path):
        return f"their {name} is {shortened(there)}, the run's is {shortened(here)}"
    return ""


def shortened(value: object) -> str:
    """Return a JSON value as text of at most 80 characters."""
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:80] + "..."
