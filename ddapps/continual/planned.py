"""The rows of a comparison: a strategy for each method and each baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import ddcore as dd
from ddapps.continual.chosen import AUTO, CODEC, is_choice
from ddapps.continual.kinds import ONLINE, RECALLED, Distilled, Online
from ddapps.continual.rows import BUFFERS, OWN_BUFFERS, Recall, Replay
from ddapps.continual.setting import Setting
from ddcore.errors import UnknownNameError
from ddcore.evaluation import Protocol
from ddcore.methods import SELECTION

Strategy = Recall | Replay
CODECS = tuple(f"{name}{CODEC}" for name in SELECTION)


def chooses_its_storage(strategy: Strategy) -> bool:
    """Whether it finds out with its first memory how examples are stored, and in how many bytes."""
    memory = strategy.memory
    return isinstance(memory, Distilled) and is_choice(memory.method)


def rows_of_methods(
    methods: Sequence[str | dd.Method],
    protocol: Protocol,
    setting: Setting,
    wider: Setting | None,
    replay: bool,
    mixed: float | None,
    tune_auto: bool,
) -> list[tuple[str, Strategy, Setting]]:
    """Return the rows of methods. The first one has another in four bytes per number."""
    rows: list[tuple[str, Strategy, Setting]] = []
    for index, method in enumerate(methods):
        kind = Distilled(method, tuned=tune_auto and method == AUTO)
        name, _ = kind.name, kind.recipe  # an unknown name is an error before anything is run
        rows.append((name, Recall(kind, protocol), setting))
        if index == 0 and wider is not None and not is_choice(method):
            rows.append((f"{name} float32", Recall(replace(kind, storage="float32"), protocol), wider))
        if replay and not kind.tuned:
            rows.append((f"{name} replay", Replay(kind), setting))
        if mixed is not None:
            both = replace(kind, real=mixed)
            rows.append((both.name, Recall(both, protocol), setting))
    return rows


def baseline_named(name: str, protocol: Protocol) -> Strategy:
    """Return the strategy of a baseline.

    Raises:
        UnknownNameError: there is none of this name.
    """
    if name in RECALLED:
        return Recall(RECALLED[name], protocol)
    if name in SELECTION or name in CODECS:
        return Recall(Distilled(name), protocol)
    if name in ONLINE:
        return Replay(Online(name))
    if name in BUFFERS or name in OWN_BUFFERS or name == "naive":
        return Replay(None if name == "naive" else name)
    raise UnknownNameError("baseline", name, {*BUFFERS, *OWN_BUFFERS, *ONLINE, *RECALLED, *SELECTION, *CODECS, "naive"})
