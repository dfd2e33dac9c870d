"""Presets: every method has its source's settings, and settings for a processor with two cores."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import TypeVar

import torch

from ddcore.errors import UnknownNameError
from ddcore.ground.devices import resolve_device

T = TypeVar("T")

PRESETS = ("paper", "cpu")
WHITENED_DATA = ("cifar10", "cifar100", "tiny-imagenet")
"""Data that are whitened by those sources that leave grey images as they are."""


def settled_preset(preset: str | None, device: str | torch.device = "auto", *, say: bool = True) -> str:
    """Return the preset, chosen by the device where none is asked for.

    A processor gets ``cpu``, whose settings end in minutes; a GPU gets ``paper``. This is the one
    rule of all builders and of the command line. What is chosen is recorded in `Method.preset`.

    Args:
        preset: a name in ``PRESETS``, or None.
        device: that the method will run on; ``auto``: the one that torch would use now.
        say: whether the choice of ``cpu`` is said, once in a process.

    Raises:
        UnknownNameError: there is no such preset.
    """
    if preset is None:
        preset = "cpu" if resolve_device(device).type == "cpu" else "paper"
        if say and preset == "cpu":
            _say_once()
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    return preset


@cache
def _say_once() -> None:
    logging.getLogger("ddcore").warning(
        "preset 'cpu' on this processor, with settings that end in minutes; preset='paper' takes the publication's"
    )


def entry_for(table: Mapping[int, T], ipc: int) -> T:
    """Return the entry of the largest published number of examples that ``ipc`` reaches.

    Numbers are per class. Where ``ipc`` reaches none, the smallest number's entry is taken.
    """
    return table[max((known for known in table if known <= ipc), default=min(table))]
