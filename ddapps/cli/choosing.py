"""``--method auto`` and ``--codec`` of ``ddapps distill``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import ddcore as dd
from ddapps.cli.arguments import say
from ddcore.choosing import SOFT, MethodChoice, through
from ddcore.errors import OutputExistsError, SettingsError
from ddcore.factorization import Compressed
from ddcore.images import ImageSpec, LowResolution

AUTO = "auto"
NOT_WITH_AUTO = (
    "matching",
    "factorization",
    "storage",
    "labels",
    "teacher",
    "experts",
    "codec",
    "ipc",
    "preset",
    "ratio",
    "users",
    "set",
)
"""Options that say what ``auto`` chooses."""
COLOURS = "-colours"
NOT_WITH_CODEC = ("matching", "factorization", "storage", "labels", "teacher", "preset")
"""Options that say how examples are stored or labelled, as the codec does; or by which preset."""


def codec(text: str) -> tuple[int, int, bool]:
    """Return rows, levels and whether these are colours, of ``14x4`` or ``16x8-colours``."""
    rows, cross, word = text.partition("x")
    levels = word.removesuffix(COLOURS)
    if not (cross and rows.isdecimal() and levels.isdecimal()):
        raise argparse.ArgumentTypeError(f"rows x levels, such as 14x4 or 16x8{COLOURS}, not {text!r}")
    return int(rows), int(levels), word.endswith(COLOURS)


def choose(options: argparse.Namespace, target: dd.TargetData) -> MethodChoice:
    """Choose a method for the bytes that the options name.

    Raises:
        SettingsError: bytes are missing, or an option says what is to be chosen.
    """
    if told := _told(options, NOT_WITH_AUTO):
        raise SettingsError(f"{' and '.join(told)} say what --method auto chooses: leave them out, or name a method")
    return dd.choose_method(
        target,
        nbytes=_bytes(options),
        seed=options.seed,
        max_seconds=options.max_seconds,
        network=options.network,
        device=options.device,
        progress=None if options.quiet else say,
    )


def described(choice: MethodChoice) -> str:
    """Return what was chosen, how good it was, and what came next."""
    record = choice.record()
    beside = f"; next: {record['runner_up']}, {record['runner_up_score']:.2f}" if choice.runner_up else ""
    return (
        f"auto: {choice.name}, {record['score']:.2f} on {choice.validation_examples} validation examples{beside} "
        f"({choice.seconds:.0f} s)"
    )


def was_chosen(out: Path, target: dd.TargetData, options: argparse.Namespace) -> bool:
    """Whether ``out`` holds the finished summary that these words chose.

    Raises:
        OutputExistsError: it holds another.
    """
    if not (out / "config.json").exists():
        return False
    record = dd.DataSummary.load(out).record
    chosen = record.get("chosen")
    wanted = {"bytes": _bytes(options), "seed": options.seed}
    if options.network is not None:
        wanted["network"] = options.network
    if not isinstance(chosen, dict) or any(chosen.get(key) != value for key, value in wanted.items()):
        raise OutputExistsError(f"{out} holds another summary: choose another --out, or pass --overwrite")
    if record.get("data_sha256") != target.fingerprint():
        raise OutputExistsError(f"{out} holds a summary of other data: choose another --out, or pass --overwrite")
    entry = dd.portfolio(target.spec).get(str(chosen.get("chosen")).removesuffix(SOFT))
    return entry is not None and record.get("steps") == entry.build().with_steps(options.steps).steps


def coded(options: argparse.Namespace, target: dd.TargetData | dd.Spec, budget: dd.Budget | None) -> dd.Method:
    """Return the method that the options name, through the codec that they name.

    Raises:
        SettingsError: the data are no images, or are not at hand to measure bytes on; or an option
            says what the codec does.
    """
    if told := _told(options, NOT_WITH_CODEC):
        raise SettingsError(f"{' and '.join(told)} cannot be said with --codec: leave out one or the other")
    if not isinstance(target, dd.TargetData) or not isinstance(target.spec, ImageSpec):
        raise SettingsError("--codec is of images that are at hand: leave it out")
    rows, levels, palette = options.codec
    wrapped = Compressed(LowResolution(ipc=options.ipc or 10, size=rows), levels=levels, palette=palette)
    method = through(options.method or "dm", wrapped)
    return method if budget is None else dd.fitted(method, target, budget.bytes, seed=options.seed)


def _told(options: argparse.Namespace, words: Sequence[str]) -> list[str]:
    return [f"--{word}" for word in words if getattr(options, word, None)]


def _bytes(options: argparse.Namespace) -> int:
    if getattr(options, "bytes", None) is None:
        raise SettingsError("--method auto chooses what serves best in so many bytes: give --bytes, such as 2560")
    return dd.Budget.parse(options.bytes).bytes
