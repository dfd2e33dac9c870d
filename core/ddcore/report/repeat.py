"""The words that make a summary again, as far as its record knows them."""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ddcore.errors import DistillationError
from ddcore.methods import METHODS, PRESETS, build_method
from ddcore.parts import Identity, Method, modality_named
from ddcore.settings import override
from ddcore.summary import DataSummary

USUAL = "standard"
"""The normalisation where nothing names another."""
NOT_SAID = {"start", "labelled", "quantised", "union_of", "experts", "privacy"}
"""Entries of a record that no command gives: a private run draws its noise anew."""
OF_STEPS, OF_PRECISION = "steps", "precision"


def command_of(summary: DataSummary, data: str) -> str | None:
    """Return the command that distills the summary again, or None where no words say it all.

    The words are tried: they give a method whose settings are those of the record.

    Args:
        summary: with its record.
        data: how the command names the data, in the words of a shell.
    """
    record = summary.record
    method, name = record.get("method"), str(record.get("data", ""))
    if not isinstance(method, Mapping) or method.get("name") not in METHODS or _more_than_words(record, method):
        return None
    words = _words(summary, method, Path(name).stem)
    loading = _loading(summary, method)
    if words is None or loading is None or type(record.get("seed")) is not int:
        return None
    seed = ["--seed", str(record["seed"])]
    return f"ddapps distill {data} {shlex.join([*loading, *words, *seed, '--out', 'DIR'])}"


def _more_than_words(record: Mapping[str, Any], method: Mapping[str, Any]) -> bool:
    """Whether the run had what a command cannot give: a start, teachers, labels, noise."""
    return bool(NOT_SAID & set(record)) or "labels" in method


def _loading(summary: DataSummary, method: Mapping[str, Any]) -> list[str] | None:
    """Return the words for the normalisation; None where its settings are not known."""
    loader, used = modality_named(summary.spec.modality).loader(), summary.spec.normalisation.name
    expected = str(method.get("normalisation") or USUAL).partition("(")[0]
    if used == expected or "normalisation" not in inspect.signature(loader).parameters:
        return []
    return ["--normalisation", used] if used in (USUAL, Identity.name) else None


def _words(summary: DataSummary, recorded: Mapping[str, Any], data: str) -> list[str] | None:
    """Return the words of the method, the shortest of the presets'; None where none fit."""
    ipc = recorded.get("factorization", {}).get("ipc")
    asked = ",".join(f"{c}:{n}" for c, n in ipc.items()) if isinstance(ipc, Mapping) else str(ipc)
    given = {int(c): n for c, n in ipc.items()} if isinstance(ipc, Mapping) else ipc
    found = []
    for preset in sorted(PRESETS, key=lambda name: name != recorded.get("preset")):
        try:
            method = build_method(recorded["name"], ipc=given, preset=preset, data=data, target=summary.spec)
            more = _overriding(method, recorded)
        except (DistillationError, TypeError, ValueError, KeyError, AttributeError):
            continue
        if more is not None:
            found.append(["--method", recorded["name"], "--ipc", asked, "--preset", preset, *more])
    return min(found, key=len, default=None)


def _overriding(method: Method, recorded: Mapping[str, Any]) -> list[str] | None:
    """Return the words that bring a method to the recorded settings."""
    words = []
    for path, value in _differing(method.describe(), recorded):
        if path == OF_STEPS:
            method = method.with_steps(value)
            words += ["--steps", str(value)]
        elif path == OF_PRECISION:
            method = override(method, path, value)
            words += [] if value == "fp32" else ["--precision", str(value)]
        else:
            method = override(method, path, value)
            words += ["--set", f"{path}={json.dumps(value)}"]
    described = {**method.describe(), "preset": recorded.get("preset")}
    return words if json.loads(json.dumps(described)) == recorded else None


def _differing(ours: Any, theirs: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the paths at which two descriptions differ, with what the second has there."""
    if not isinstance(ours, Mapping) or not isinstance(theirs, Mapping) or ours.get("type") != theirs.get("type"):
        if json.loads(json.dumps(ours)) != theirs:
            yield path.removeprefix("."), theirs
        return
    for name in theirs:
        if path or name not in ("name", "preset"):
            yield from _differing(ours.get(name), theirs[name], f"{path}.{name}")
