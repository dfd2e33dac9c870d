"""What processes of one run do in the tests of them."""

from __future__ import annotations

import os
from pathlib import Path

import ddcore as dd
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

    def die(progress: dd.Progress) -> None:
        if progress.step == dies_at and os.environ.get("RANK") == "1":
            os._exit(3)

    summary = dd.distill(
        dd.load_data("digits"),
        method_of(name),
        seed=0,
        precision="fp64",
        distributed=True,
        checkpoint=checkpoint,
        checkpoint_seconds=0.0,
        callbacks=[die],
    )
    if os.environ.get("RANK", "0") == "0":
        summary.save(folder / name, overwrite=True)


def main(what: str, folder: Path) -> None:
    """Do what the word says, in a folder that processes share."""
    if what == "all":
        for name in ("dm", "dsa", "dcc", "sampler"):
            distilled(name, folder)
    elif what == "dying":
        distilled("dsa", folder, checkpoint=folder / "checkpoint", dies_at=2)
