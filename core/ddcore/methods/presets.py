"""Presets: every method has its source's settings, and settings for a processor with two cores."""

from __future__ import annotations

from ddcore.errors import UnknownNameError

PRESETS = ("paper", "cpu")


def check_preset(preset: str) -> None:
    """Raise `UnknownNameError` unless ``preset`` exists."""
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
