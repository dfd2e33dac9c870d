"""The running mean of stored parameters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ddcore as dd
from ddcore.errors import SettingsError
from tests.running import shrunk


def averaged(decay: float) -> dd.Method:
    method = shrunk("dm", steps=6)
    return replace(method, optimiser=replace(method.optimiser, average=decay))


def test_the_summary_is_the_mean_over_the_steps_from_the_first_values_on(few_digits: dd.TargetData) -> None:
    seen: list[torch.Tensor] = []
    last = dd.distill(few_digits, averaged(0.0), callbacks=[lambda p: seen.append(p.snapshot().tensors()[0])])
    mean = dd.distill(few_digits, averaged(0.0), steps=0).tensors()[0]
    for images in seen:
        mean = 0.7 * mean + 0.3 * images
    assert torch.equal(seen[-1], last.tensors()[0])
    torch.testing.assert_close(dd.distill(few_digits, averaged(0.7)).tensors()[0], mean)


def test_looking_at_the_mean_does_not_change_the_run(few_digits: dd.TargetData) -> None:
    quiet = dd.distill(few_digits, averaged(0.7))
    watched = dd.distill(few_digits, averaged(0.7), callbacks=[lambda progress: progress.snapshot()])
    assert watched.sha256() == quiet.sha256()


def test_a_resumed_run_goes_on_with_its_mean(few_digits: dd.TargetData, tmp_path: Path) -> None:
    def stop(progress: dd.Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dd.distill(few_digits, averaged(0.7), checkpoint=tmp_path / "c", checkpoint_seconds=0.0, callbacks=[stop])
    resumed = dd.distill(few_digits, averaged(0.7), checkpoint=tmp_path / "c")
    assert resumed.sha256() == dd.distill(few_digits, averaged(0.7)).sha256()


def test_an_impossible_decay_is_refused() -> None:
    with pytest.raises(SettingsError, match="average is a decay"):
        dd.Optimiser(average=1.0)
