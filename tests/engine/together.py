"""What processes of one run do in the tests of them."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor

import ddcore as dd
from ddcore.engine.loop import Loop
from ddcore.matching import CharacteristicFunction, FrequencySampler
from tests.running import shrunk

NETWORK = "convnet(width=8)"
STEPS = 4


def method_of(name: str) -> dd.Method:
    """Return a small method; that of DCC is joint from the first step, ``sampler`` has one."""
    if name == "sampler":
        distance = CharacteristicFunction(frequencies=4, sampler=FrequencySampler())
        return dd.override(shrunk("dm", NETWORK, steps=STEPS), "matching.distance", distance)
    method = shrunk(name, NETWORK, steps=STEPS)
    return dd.override(method, "matching.warmup_networks", 0) if name == "dcc" else method


def distilled(name: str, folder: Path, *, checkpoint: Path | None = None, dies_at: int = 0) -> None:
    """Distill digits with the other processes; the first of them saves the summary."""
    first, seen = os.environ.get("RANK", "0") == "0", []
    if dies_at and not first:
        _die_after(dies_at)
    summary = dd.distill(
        dd.load_data("digits"),
        method_of(name),
        seed=0,
        precision="fp64",
        distributed=True,
        checkpoint=checkpoint,
        checkpoint_seconds=0.0,
        callbacks=[lambda progress: seen.append(progress.step)],
    )
    assert seen == (list(range(1, STEPS + 1)) if first else []), "the first process alone calls callbacks"
    if first:
        summary.save(folder / name, overwrite=True)


def _die_after(step: int) -> None:
    observe = Loop._observe

    def die(loop: Loop, done: int, loss: Tensor) -> None:
        if done == step:
            os._exit(3)
        observe(loop, done, loss)

    Loop._observe = die  # type: ignore[method-assign]


def main(what: str, folder: Path) -> None:
    """Do what the word says, in a folder that processes share."""
    if what == "all":
        for name in ("dm", "dsa", "dcc", "sampler"):
            distilled(name, folder)
    elif what == "dying":
        distilled("dsa", folder, checkpoint=folder / "checkpoint", dies_at=2)
