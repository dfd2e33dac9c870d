"""A run whose steps several processes share equals that of one process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ddcore as dd
from ddcore.errors import ProcessGroupError, SettingsError, UnsupportedError
from ddcore.ground import Ranks
from tests.engine.together import NETWORK, method_of
from tests.running import shrunk

ROOT = Path(__file__).parents[2]


def torchrun(what: str, folder: Path, processes: int) -> list[tuple[int, str]]:
    """Run ``together`` as torchrun would, which kills all processes when one has ended.

    Here they end by themselves. Returns the exit code of each and what it said.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.engine.together", what, str(folder)],
            cwd=ROOT,
            env={**os.environ, **shared, "OMP_NUM_THREADS": "1", "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    said = [process.communicate(timeout=100)[1] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


def images(summary: dd.DataSummary) -> torch.Tensor:
    return summary.tensors(dtype=torch.float64)[0]


def alone(name: str) -> dd.DataSummary:
    return dd.distill(dd.load_data("digits"), method_of(name), seed=0, precision="fp64")


def test_processes_together_equal_one(tmp_path: Path) -> None:
    ended = torchrun("all", tmp_path, 3)
    assert [code for code, _ in ended] == [0] * 3, ended[0][1]
    for name in ("dm", "dsa", "dcc", "sampler"):
        together = dd.DataSummary.load(tmp_path / name)
        assert together.record["machine"]["processes"] == 3
        torch.testing.assert_close(images(together), images(alone(name)), rtol=1e-6, atol=1e-6)


def test_a_process_that_dies_ends_the_run_and_another_number_goes_on(tmp_path: Path) -> None:
    ended = torchrun("dying", tmp_path, 2)
    assert [code for code, _ in ended] == [1, 3]
    assert "process 0 of 2 lost another one, which has ended" in ended[0][1]
    resumed = dd.distill(
        dd.load_data("digits"),
        shrunk("dsa", NETWORK, steps=6),
        seed=0,
        precision="fp64",
        checkpoint=tmp_path / "checkpoint",
    )
    torch.testing.assert_close(images(resumed), images(alone("dsa")), rtol=1e-6, atol=1e-6)


def test_processes_that_were_told_different_things_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tells the largest and the smallest number of all; the other process tells 0 here."""
    monkeypatch.setattr(Ranks, "largest", lambda self, number, device: max(number, 0.0))
    with pytest.raises(ProcessGroupError, match="the processes of this run differ in seed"):
        Ranks(0, 2).require_equal({"seed": 1}, torch.device("cpu"))
    monkeypatch.setattr(Ranks, "largest", lambda self, number, device: number)
    Ranks(0, 2).require_equal({"seed": 1}, torch.device("cpu"))


def test_every_item_is_shared_to_one_process() -> None:
    items = list("abcdefg")
    shares = [Ranks(rank, 3).share(items, [5, 0, 1, 1, 2, 8, 3]) for rank in range(3)]
    assert shares == [["b", "g"], ["c", "d"], ["a", "e", "f"]]
    assert sorted(item for rank in range(4) for item in Ranks(rank, 4).share(items, range(7))) == items


def test_what_cannot_be_shared_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from ddcore.engine import distill as engine

    target = dd.load_data("digits")
    with pytest.raises(SettingsError, match="processes that torchrun started"):
        dd.distill(target, shrunk("dm", NETWORK, steps=1), distributed=True)
    signal = dd.data.ExactSignal(target)
    with pytest.raises(UnsupportedError, match="10 classes cannot be shared by 11 processes"):
        engine._require_shared(dd.methods.dm(ipc=1), signal, Ranks(0, 11))
    with pytest.raises(UnsupportedError, match="a step of mtt is no sum over classes, so 2 processes cannot share it"):
        engine._require_shared(dd.methods.mtt(ipc=1), signal, Ranks(0, 2))
