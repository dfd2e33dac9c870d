"""Words that stand for a method, which is chosen when the first data are seen."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

import ddcore as dd
from ddapps.continual.pace import Pace, Shown
from ddcore.errors import UnknownNameError
from ddcore.methods import METHODS

AUTO = "auto"
CODEC = "-codec"
"""How words end that name a method alone, and leave open how its examples are stored."""


def is_choice(method: object) -> bool:
    """Whether this is a word for a choice: ``auto``, or such as ``random-codec``."""
    return isinstance(method, str) and (method == AUTO or method.endswith(CODEC))


def choose(
    word: str,
    target: dd.TargetData,
    nbytes: int,
    *,
    seed: int = 0,
    max_seconds: float | None = None,
    network: object = None,
    device: str | torch.device = "auto",
    progress: Shown = None,
) -> dict[str, Any]:
    """Choose the method that a word means for these data and bytes (`ddcore.choose_method`).

    Returns the record of the choice; `named` builds its method.

    Args:
        word: ``auto``: any of `ddcore.portfolio`. ``random-codec``, ``herding-codec``, ...: this
            method; sizes of images, levels of grey and coding are chosen.
        target: the data of one experience. A part of its training split decides.
        nbytes: most bytes that its summary stores.
        seed: of splits and draws.
        max_seconds: of the choice.
        network: that is trained and distilled on.
        device: as in ``ddcore.distill``.
        progress: as in `Pace.shown`.

    Raises:
        UnknownNameError: there is no such method.
        BudgetError: no candidate fits so few bytes.
    """
    bar, say = Pace.shown(progress)
    found = dd.choose_method(
        target,
        nbytes=nbytes,
        seed=seed,
        max_seconds=max_seconds,
        network=network,
        candidates=tuple(candidates(word, target.spec).values()),
        joint=False,
        device=device,
        progress=say or bar,
    )
    record: dict[str, Any] = found.record()
    return record


def named(word: str, record: Mapping[str, Any], spec: dd.Spec) -> dd.Method:
    """Return the method that was chosen before, by the record of that choice."""
    known, name, network = candidates(word, spec), record["chosen"], record["network"]
    if name not in known:
        raise UnknownNameError("method of the portfolio", name, known)
    method: dd.Method = known[name].build()
    return method if network is None else method.on_networks(network)


def candidates(word: str, spec: dd.Spec) -> dict[str, Any]:
    """Return what a word may come to mean, by name (`ddcore.choosing.Candidate`)."""
    if word == AUTO:
        return dict(dd.portfolio(spec, joint=False))
    choosing = dd.choosing
    rule = word.removesuffix(CODEC)
    if rule not in METHODS:
        raise UnknownNameError("method", word, [AUTO, *(f"{name}{CODEC}" for name in METHODS)])
    made = [
        choosing.Candidate(f"{rule} ({words})", rule, words, partial(choosing.through, rule, codec))
        for words, codec in choosing.codecs(spec).items()
    ]
    return {candidate.name: candidate for candidate in made}
