"""Presets: every method has its source's settings, and settings for a processor with two cores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from ddcore.errors import UnknownNameError

T = TypeVar("T")

PRESETS = ("paper", "cpu")
WHITENED_DATA = ("cifar10", "cifar100", "tiny-imagenet")
"""Data that are whitened by those sources that leave grey images as they are."""


def check_preset(preset: str) -> None:
    """Raise `UnknownNameError` unless ``preset`` is a name in ``PRESETS``."""
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)


def entry_for(table: Mapping[int, T], ipc: int) -> T:
    """Return the entry of the largest published number of examples that ``ipc`` reaches.

    Numbers are per class. Where ``ipc`` reaches none, the smallest number's entry is taken.
    """
    return table[max((known for known in table if known <= ipc), default=min(table))]
