"""Checks of what a summary says of its labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ddcore.errors import SummaryFormatError
from ddcore.labels.logits import LogitStorage
from ddcore.parts.recipe import MAX_TEMPERATURE

MAX_TEACHERS = 64


def check_entries(config: Mapping[str, Any], allowed: set[str]) -> None:
    """Raise `SummaryFormatError` unless the entries are those that are allowed."""
    if set(config) != allowed:
        raise SummaryFormatError(f"labels record {sorted(allowed)}, found {sorted(map(str, config))[:5]}")


def read_temperature(config: Mapping[str, Any]) -> float:
    """Return the temperature, above 0."""
    value = config["temperature"]
    if type(value) not in (int, float) or not 0 < value <= MAX_TEMPERATURE:
        raise SummaryFormatError(f"a temperature lies in (0, {MAX_TEMPERATURE:g}], not {str(value)[:40]}")
    return float(value)


def read_makers(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the hashes of the teachers that made labels."""
    makers = config["made_by"]
    if not isinstance(makers, list) or len(makers) > MAX_TEACHERS:
        raise SummaryFormatError(f"made_by of labels must be a list of at most {MAX_TEACHERS} hashes")
    if not all(isinstance(maker, str) and re.fullmatch("[0-9a-f]{64}", maker) for maker in makers):
        raise SummaryFormatError("made_by of labels must hold hashes")
    return tuple(makers)


def read_storage(config: Mapping[str, Any]) -> LogitStorage:
    """Return how logits are stored."""
    top = config["top"]
    if not isinstance(config["storage"], str) or not (top is None or type(top) is int):
        raise SummaryFormatError("storage and top of labels must be a text and a whole number")
    return LogitStorage(config["storage"], top)


def read_count(config: Mapping[str, Any], name: str, most: int) -> int:
    """Return a whole number in ``1 .. most``."""
    value = config[name]
    if type(value) is not int or not 0 < value <= most:
        raise SummaryFormatError(f"{name} of labels must be a whole number in 1..{most}, not {str(value)[:40]}")
    return value
