"""Settings are frozen dataclasses. Here they become JSON, come back, and are overridden."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Mapping
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ddcore.errors import SettingsError, UnknownNameError, did_you_mean

S = TypeVar("S")


def describe(value: Any) -> Any:
    """Return ``value`` as plain JSON data; a dataclass carries its class name under ``"type"``.

    Objects that are not settings (a user's network factory, say) describe themselves by a method
    ``describe()``.
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

        A number in the path picks an entry of a tuple:
        ``override(method, "networks.augmentation.augmentations.1.probability", 1.0)``

        A name may be a new entry of a mapping:
        ``override(method, "optimiser.group_learning_rates.step_sizes", 1e-6)``
    """
    name, _, rest = path.partition(".")
    if isinstance(settings, tuple) and name.isdecimal() and int(name) < len(settings):
        place = int(name)
        changed = override(settings[place], rest, value) if rest else value
        return (*settings[:place], changed, *settings[place + 1 :])  # type: ignore[return-value]
    if isinstance(settings, Mapping):
        inner = override(settings[name], rest, value) if rest else value
        return {**settings, name: inner}  # type: ignore[return-value]
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        raise SettingsError(f"{type(settings).__name__} has no setting {name!r}")
    allowed = [f.name for f in dataclasses.fields(settings) if f.init]
    if name not in allowed:
        raise SettingsError(
            f"{type(settings).__name__} has no setting {name!r}{did_you_mean(name, allowed)}: "
            f"choose one of {', '.join(allowed)}"
        )
    current = getattr(settings, name)
    new = override(current, rest, value) if rest else _as(_hints(type(settings))[name], value, path)
    return dataclasses.replace(settings, **{name: new})


def with_settings(settings: S, **values: object) -> S:
    """Return a copy of ``settings`` with several fields replaced (`override`)."""
    for name, value in values.items():
        settings = override(settings, name, value)
    return settings


def restored_settings(config: object, known: Mapping[str, type]) -> Any:
    """Return the settings that `describe` recorded, with those within them.

    Args:
        config: JSON data, from a stranger perhaps.
        known: the classes that it may name, by name.

    Raises:
        SettingsError: a class or a setting is unknown, or a value is of the wrong kind.
    """
    if isinstance(config, list):
        return tuple(restored_settings(entry, known) for entry in config)
    if not isinstance(config, Mapping):
        return config
    name = str(config.get("type"))
    if name not in known:
        raise UnknownNameError("kind of settings", name[:40], known)
    hints, kind = _hints(known[name]), known[name]
    allowed = {f.name for f in dataclasses.fields(kind) if f.init}
    given = {key: value for key, value in config.items() if key != "type"}
    require(set(given) <= allowed, f"{name} has no settings {sorted(set(given) - allowed)[:5]}")
    return kind(**{k: _as(hints[k], restored_settings(v, known), f"{name}.{k}") for k, v in given.items()})


def with_every(settings: S, name: str, value: object) -> S:
    """Return a copy of ``settings`` in which every field ``name``, at any depth, is ``value``.

    Settings without such a field are returned as they are.
    """
    if isinstance(settings, tuple):
        entries = tuple(with_every(entry, name, value) for entry in settings)
        return settings if all(a is b for a, b in zip(entries, settings, strict=True)) else entries  # type: ignore[return-value]
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        return settings
    changed = {}
    for field in (f.name for f in dataclasses.fields(settings) if f.init):
        held = getattr(settings, field)
        new = value if field == name else with_every(held, name, value)
        if new is not held:
            changed[field] = new
    return dataclasses.replace(settings, **changed) if changed else settings


@cache
def _hints(settings: type) -> dict[str, Any]:
    return get_type_hints(settings)


def _as(hint: Any, value: object, path: str) -> object:
    """Check ``value`` against the field's type.

    JSON's lists serve as tuples, whole numbers as reals.
    """
    if isinstance(value, list):
        value = tuple(value)
    if not _fits(value, hint):
        wanted = getattr(hint, "__name__", str(hint))
        raise SettingsError(f"setting {path!r} is of kind {wanted}; {value!r} is of kind {type(value).__name__}")
    return float(value) if hint is float and isinstance(value, int) else value


def _fits(value: object, hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if hint in (int, float):
        return isinstance(value, int | float if hint is float else int) and not isinstance(value, bool)
    if get_origin(hint) is tuple and isinstance(value, tuple):
        each = get_args(hint)
        if len(each) == 2 and each[1] is Ellipsis:
            return all(_fits(element, each[0]) for element in value)
        return len(each) == len(value) and all(map(_fits, value, each))
    return isinstance(value, get_origin(hint) or hint)


def settings_from_text(text: str, named: Mapping[str, S], kind: str) -> S:
    """Return the settings that ``name(setting=value, ...)`` describes.

    They are a named default with some of its fields replaced.

    Args:
        text: a name, with settings in brackets where they differ.
        named: the defaults by name.
        kind: what they are, for messages.
    """
    match = _NAMED.fullmatch(text)
    if match is None or match.group(1) not in named:
        raise UnknownNameError(kind, text, named)
    settings = named[match.group(1)]
    for name, value in settings_pairs(text, kind)[1].items():
        settings = override(settings, name, value)
    return settings


_NAMED = re.compile(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*")


def settings_pairs(text: str, kind: str) -> tuple[str, dict[str, object]]:
    """Return the name and the settings of ``name(setting=value, ...)``.

    ``kind`` is for messages.
    """
    match = _NAMED.fullmatch(text)
    if match is None:
        raise SettingsError(f"{text!r} names no {kind}: say name, or name(setting=value, ...)")
    settings: dict[str, object] = {}
    for pair in filter(None, split_names(match.group(2) or "")):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise SettingsError(f"{pair!r} in {text!r} is not of the form name=value")
        settings[name] = _literal(value)
    return match.group(1), settings


def split_names(text: str) -> list[str]:
    """Split ``a,b(c=1,d=2)`` at the commas outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def settings_text(name: str, settings: Any) -> str:
    """Return ``name``, with the settings that differ from their field's default in brackets."""
    fields = [f for f in dataclasses.fields(settings) if getattr(settings, f.name) != f.default]
    differing = ",".join(f"{f.name}={getattr(settings, f.name)}" for f in fields)
    return f"{name}({differing})" if differing else name


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def require_counts(**counts: object) -> None:
    """Raise `SettingsError` unless every named setting is a whole number above 0."""
    for name, value in counts.items():
        whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
        require(whole, f"{name} must be a whole number above 0, not {value!r}")


def require(condition: bool, *message: object) -> None:
    """Raise `SettingsError` unless ``condition`` holds. Settings validate themselves with it."""
    if not condition:
        raise SettingsError(*message)
