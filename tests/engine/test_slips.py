"""Runs that are no runs, checkpoints of other runs, and a full disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import ddcore as dd
from ddcore.errors import CheckpointError, SettingsError, WritingError
from ddcore.ground import write_atomically
from ddcore.ground.differences import differences


def small(steps: int) -> dd.Method:
    return dd.methods.dm(ipc=1, preset="cpu").on_networks("convnet(width=4,depth=2)").with_steps(steps)


def test_no_step_is_no_work_of_the_method(few_digits: dd.TargetData) -> None:
    none, one = (dd.distill(few_digits, small(steps)) for steps in (0, 1))
    assert none.record["method"]["name"] == "initialisation of dm" and one.record["method"]["name"] == "dm"
    assert repr(none).startswith("DataSummary(initialisation of dm of ")
    assert dd.distill(few_digits, dd.methods.random(ipc=1)).record["method"]["name"] == "random"


def test_a_checkpoint_of_another_run_names_the_setting(few_digits: dd.TargetData, tmp_path: Path) -> None:
    place = tmp_path / "checkpoint"
    dd.distill(few_digits, small(1), checkpoint=place)
    with pytest.raises(CheckpointError) as caught:
        dd.distill(few_digits, small(2), checkpoint=place)
    assert str(caught.value) == (
        f"checkpoint {place} belongs to another run: method.steps was 1, now it is 2. Give the same settings again, or "
        "delete the checkpoint to start over (on the command line: --overwrite)"
    )
    with pytest.raises(CheckpointError, match=r"method.optimiser.learning_rate was .* \(1 more differ\)"):
        dd.distill(few_digits, dd.override(small(1), "optimiser.learning_rate", 0.5), checkpoint=place, seed=1)


@pytest.mark.parametrize("callbacks", [print, ["csv"], "csv", None])
def test_callbacks_are_a_list_of_functions(few_digits: dd.TargetData, callbacks: object) -> None:
    with pytest.raises(SettingsError, match="callbacks is a list of functions of a Progress"):
        dd.distill(few_digits, small(1), callbacks=callbacks)  # type: ignore[arg-type]


def test_what_differs_is_named_within_lists_and_dictionaries() -> None:
    theirs = {"a": [1, {"b": 2}], "c": [1], "d": None, "same": [3]}
    ours = {"a": [1, {"b": 3}], "c": [1, 2], "e": 4, "same": [3]}
    assert list(differences(theirs, ours)) == [("a.1.b", 2, 3), ("c", [1], [1, 2]), ("e", None, 4)]


def test_a_full_disk_names_the_file_and_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "file"
    write_atomically(place, b"first")

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WritingError, match=rf"{place} cannot be written \(6 bytes\): No space left on device"):
        write_atomically(place, b"second")
    assert place.read_bytes() == b"first" and list(tmp_path.iterdir()) == [place]
