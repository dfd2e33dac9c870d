"""A run of any method that is killed and goes on ends in the bytes of one that was not."""

from __future__ import annotations

from pathlib import Path

import pytest

import ddcore as dd
from ddcore.methods import METHODS
from tests.running import shrunk

WITH_STEPS = [name for name, method in METHODS.items() if method.build(ipc=1, preset="cpu").matching is not None]


@pytest.mark.parametrize("name", WITH_STEPS)
def test_a_killed_run_goes_on(few_digits: dd.TargetData, tmp_path: Path, name: str) -> None:
    method = shrunk(name, steps=5)
    whole = dd.distill(few_digits, method, seed=1)
    checkpoint = tmp_path / "checkpoint.safetensors"

    def kill(progress: dd.Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dd.distill(few_digits, method, seed=1, checkpoint=checkpoint, checkpoint_seconds=0.0, callbacks=[kill])
    seen: list[int] = []
    resumed = dd.distill(
        few_digits, method, seed=1, checkpoint=checkpoint, callbacks=[lambda progress: seen.append(progress.step)]
    )
    assert seen == [3, 4, 5]
    assert resumed.sha256() == whole.sha256() and resumed.recipe == whole.recipe
