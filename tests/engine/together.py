"""What processes of one run do in the tests of them. torchrun starts this file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import ddcore as dd
from ddcore.matching import CharacteristicFunction, FrequencySampler
from tests.running import shrunk

NETWORK = "convnet(width=8)"


def method_of(name: str) -> dd.Method:
    """Return a small method; that of DCC is joint from the first step, ``sampler`` has one."""
    if name == "sampler":
        distance = CharacteristicFunction(frequencies=4, sampler=FrequencySampler())
        return dd.override(shrunk("dm", NETWORK, steps=6), "matching.distance", distance)
    method = shrunk(name, NETWORK, steps=6)
    return dd.override(method, "matching.warmup_networks", 0) if name == "dcc" else method


def distilled(name: str, *, distributed: bool, seed: int = 0, checkpoint: Path | None = None, dies_at: int = 0) -> None:
    """Distill digits, and save the summary where the first process says."""

    def die(progress: dd.Progress) -> None:
        if progress.step == dies_at and os.environ.get("RANK") == "1":
            os._exit(3)

    summary = dd.distill(
        dd.load_data("digits"),
        method_of(name),
        seed=seed,
        precision="fp64",
        distributed=distributed,
        checkpoint=checkpoint,
        checkpoint_seconds=0.0,
        callbacks=[die],
    )
    if os.environ.get("RANK", "0") == "0":
        summary.save(Path(sys.argv[2]) / name, overwrite=True)


def main() -> None:
    """Do what the first word says, in the folder that the second names."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "all":
        for name in ("dm", "dsa", "dcc", "sampler"):
            distilled(name, distributed=True)
    elif what == "dying":
        distilled("dsa", distributed=True, checkpoint=folder / "checkpoint", dies_at=3)


if __name__ == "__main__":
    main()
