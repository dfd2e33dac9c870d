"""Calls in several processes end with the one that wants them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

from ddapps.side_by_side import Processes
from tests.forked import ended, fork


def leave(place: Path) -> None:
    place.write_text(f"{os.getpid()} {torch.get_num_threads()}")


def leave_and_stay(place: Path) -> None:
    leave(place)
    time.sleep(60)


def call(place: Path) -> None:
    with Processes(2) as processes:
        list(processes.made(leave_and_stay, [(place,)]))


def test_calls_are_made_in_processes_of_one_thread(tmp_path: Path) -> None:
    with Processes(2) as processes:
        made = processes.made(leave, [(tmp_path / "0",), (tmp_path / "1",)])
        assert sorted(made) == [0, 1]
    for number in range(2):
        process, threads = (tmp_path / str(number)).read_text().split()
        assert int(process) != os.getpid() and threads == "1"


def test_a_caller_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    caller = fork(call, tmp_path / "called", said=tmp_path / "said")
    ends = time.monotonic() + 60
    while not (tmp_path / "called").exists() or not (tmp_path / "called").read_text():
        assert caller.is_alive() and time.monotonic() < ends, (tmp_path / "said").read_text()
        time.sleep(0.02)
    process = Path("/proc") / (tmp_path / "called").read_text().split()[0]
    assert process.exists()
    caller.kill()
    ended(caller)
    while process.exists():
        assert time.monotonic() < ends, "it works on for nobody"
        time.sleep(0.02)
