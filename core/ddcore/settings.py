"""Settings are frozen dataclasses; here they become JSON, come back, and are overridden by a path."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from ddcore.errors import SettingsError

S = TypeVar("S")


def describe(value: Any) -> Any:
    """Return ``value`` as plain JSON data; a dataclass carries its class name under ``"type"``.

    Objects that are not settings (a user's network factory, say) describe themselves by a method ``describe()``.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "describe"):
        return value.describe()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        described = {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return {"type": type(value).__name__, **described}
    if isinstance(value, Mapping):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [describe(v) for v in value]
    raise SettingsError(f"{type(value).__name__} is not a setting: give it a method describe() that returns JSON data")


def override(settings: S, path: str, value: object) -> S:
    """Return a copy of ``settings`` with the field at the dotted ``path`` replaced.

    Example:
        ``override(method, "optimiser.learning_rate", 0.5)``
    """
    name, _, rest = path.partition(".")
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        raise SettingsError(f"{type(settings).__name__} has no setting {name!r}")
    allowed = [f.name for f in dataclasses.fields(settings) if f.init]
    if name not in allowed:
        raise SettingsError(f"{type(settings).__name__} has no setting {name!r}: choose one of {', '.join(allowed)}")
    current = getattr(settings, name)
    new = override(current, rest, value) if rest else _as(current, value, path)
    return dataclasses.replace(settings, **{name: new})


def _as(current: object, value: object, path: str) -> object:
    """Check ``value`` against the kind of the present value; whole numbers serve where reals are expected."""
    if current is None or value is None:
        return value
    if isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(current, tuple) and isinstance(value, list):
        return tuple(value)
    if not dataclasses.is_dataclass(value) and type(current) is not type(value):
        kind = type(current).__name__
        raise SettingsError(f"setting {path!r} is of kind {kind}; {value!r} is of kind {type(value).__name__}")
    return value


def require(condition: bool, message: str) -> None:
    """Raise `SettingsError` unless ``condition`` holds; used by settings that validate themselves."""
    if not condition:
        raise SettingsError(message)
