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
from ddapps.side_by_side import Processes, Relayed
from ddcore.errors import BudgetError
from ddcore.ground import Tally
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
        processes.make(leave_and_stay, [(place,), (place,), (place,)], lambda call: False, Tally(None, 3, "calls"))


def work(name: str, place: Path, tally: Tally) -> None:
    tally.note(f"{name} begins")
    leave(place / name)
    if name == "fails":
        raise BudgetError("too few bytes")
    if name == "last":  # what the others said is heard while it goes on
        time.sleep(2 * side_by_side.LISTEN_SECONDS)
    tally.done(f"{name}, part 1 of 2")
    tally.done(f"{name}, part 2 of 2")


def test_calls_are_made_in_processes_of_one_thread_and_counted_as_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddcore.ground.tally.SAY_SECONDS", 0.0)
    told: list[str] = []
    tally = Tally(told.append, 8, "parts")
    calls = [(name, tmp_path, Relayed()) for name in ("kept", "first", "fails", "last")]
    with Processes(2) as processes:
        processes.make(work, calls, lambda call: call[0] == "kept", tally, pieces=2)
    for name in ("first", "fails", "last"):
        process, threads = (tmp_path / name).read_text().split()
        assert int(process) != os.getpid() and threads == "1"
    assert not (tmp_path / "kept").exists() and tally.done_so_far == 6
    # What failed is not done: whoever finds no result makes the call himself.
    assert any(line.endswith("parts; last begins") for line in told)
    assert [line.partition(", about")[0] for line in told if ":" in line] == [
        "4 of 8 parts: first, part 2 of 2",
        "6 of 8 parts: last, part 2 of 2",
    ]


def test_one_process_is_the_caller(tmp_path: Path) -> None:
    tally = Tally(None, 2, "parts")
    with Processes(1) as processes:
        processes.make(work, [("first", tmp_path, tally)], lambda call: False, tally, pieces=2)
    assert tally.done_so_far == 0 and not any(tmp_path.iterdir())


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
