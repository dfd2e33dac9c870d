"""Calls in several processes end with the one that wants them."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from ddapps import side_by_side
from ddapps.side_by_side import Processes
from tests.forked import ended, fork


def leave(place: Path) -> None:
    place.write_text(f"{os.getpid()} {torch.get_num_threads()}")


def leave_and_stay(place: Path) -> None:
    leave(place)
    time.sleep(60)


def call(place: Path) -> None:
    """Call in forks: they begin at once."""
    side_by_side.get_context = lambda name: get_context("fork")  # type: ignore[attr-defined]
    with Processes(2) as processes:
        list(processes.made(leave_and_stay, [(place,), (place,), (place,)]))


def test_calls_are_made_in_processes_of_one_thread(tmp_path: Path) -> None:
    with Processes(2) as processes:
        made = processes.made(leave, [(tmp_path / "0",), (tmp_path / "1",)])
        assert sorted(made) == [0, 1]
    for number in range(2):
        process, threads = (tmp_path / str(number)).read_text().split()
        assert int(process) != os.getpid() and threads == "1"


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_caller_that_is_killed_or_interrupted_leaves_no_process(tmp_path: Path, sent: signal.Signals) -> None:
    """A terminal interrupts all of them; who kills one means one."""
    caller = fork(call, tmp_path / "called", said=tmp_path / "said")
    ends = time.monotonic() + 60
    while not (tmp_path / "called").exists() or not (tmp_path / "called").read_text():
        assert caller.is_alive() and time.monotonic() < ends, (tmp_path / "said").read_text()
        time.sleep(0.02)
    process = int((tmp_path / "called").read_text().split()[0])
    assert caller.pid is not None
    try:
        for each in [caller.pid] if sent is signal.SIGKILL else [process, caller.pid]:
            os.kill(each, sent)
        ends = time.monotonic() + 30
        assert ended(caller, 30) is not None
        while Path("/proc", str(process)).exists():
            assert time.monotonic() < ends, "it works on for nobody"
            time.sleep(0.02)
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
