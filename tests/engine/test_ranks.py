"""A run whose steps several processes share equals that of one process."""

from __future__ import annotations

import socket
from functools import cache
from pathlib import Path

import pytest
import torch

import ddcore as dd
from ddcore.errors import ProcessGroupError, SettingsError, UnsupportedError
from ddcore.ground import Ranks
from tests.engine.together import NETWORK, main, method_of
from tests.forked import ended, fork
from tests.running import shrunk


def torchrun(what: str, folder: Path, processes: int) -> list[tuple[int | None, str]]:
    """Run ``together`` as torchrun would, which kills all processes when one has ended.

    Here they end by themselves. Returns the exit code of each and what it said.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
    started = [
        fork(main, what, folder, said=folder / f"{rank}.log", **shared, RANK=str(rank), LOCAL_RANK=str(rank))
        for rank in range(processes)
    ]
    codes = [ended(process, seconds=100) for process in started]
    return [(code, (folder / f"{rank}.log").read_text()) for rank, code in enumerate(codes)]


def images(summary: dd.DataSummary) -> torch.Tensor:
    return summary.tensors(dtype=torch.float64)[0]


@cache
def alone(name: str) -> dd.DataSummary:
    return dd.distill(dd.load_data("digits"), method_of(name), seed=0, precision="fp64")


def test_processes_together_equal_one(tmp_path: Path) -> None:
    found = torchrun("all", tmp_path, 3)
    assert [code for code, _ in found] == [0] * 3, found[0][1]
    for name in ("dm", "dsa", "dcc", "sampler"):
        together = dd.DataSummary.load(tmp_path / name)
        assert together.record["machine"]["processes"] == 3
        torch.testing.assert_close(images(together), images(alone(name)), rtol=1e-6, atol=1e-6)


def test_a_process_that_dies_ends_the_run_and_another_number_goes_on(tmp_path: Path) -> None:
    found = torchrun("dying", tmp_path, 2)
    assert [code for code, _ in found] == [1, 3]
    assert "process 0 of 2 lost another one, which has ended" in found[0][1]
    resumed = dd.distill(
        dd.load_data("digits"),
        method_of("dsa"),
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
        engine._require_shared(dd.methods.dm(ipc=1, preset="paper"), signal, Ranks(0, 11))
    with pytest.raises(UnsupportedError, match="a step of mtt is no sum over classes, so 2 processes cannot share it"):
        engine._require_shared(dd.methods.mtt(ipc=1, preset="paper"), signal, Ranks(0, 2))
