"""Calls in several processes of this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import connection, get_context, parent_process
from multiprocessing.queues import Queue
from queue import Empty
from threading import Thread
from typing import Any

import torch

from ddcore.errors import DistillationError, WorkerError
from ddcore.ground import Tally, resolve_device
from ddcore.settings import require_counts

LISTEN_SECONDS = 0.5
"""Time between two looks at what calls have said."""


class Processes:
    """Fresh processes of one thread each, which are there until the block ends.

    Args:
        count: how many. One makes no calls: the caller is that one.
    """

    def __init__(self, count: int = 1) -> None:
        require_counts(workers=count)
        self.count = count
        self._pool: futures.ProcessPoolExecutor | None = None
        self._said: Queue[str] | None = None

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def make(
        self,
        function: Callable[..., object],
        calls: Sequence[tuple[Any, ...]],
        kept: Callable[[tuple[Any, ...]], bool],
        tally: Tally,
        pieces: int = 1,
    ) -> None:
        """Make calls whose results are not kept yet, side by side.

        Such calls leave results on disk; what they return is dropped. So is a `DistillationError`:
        whoever then finds no result makes the call himself, and meets it there.

        Args:
            function: of a module. Where it counts on a `Relayed` tally, ``tally`` says it.
            calls: tuples of arguments.
            kept: whether the result of a call is there.
            tally: counts calls, those that are kept among them.
            pieces: that a call counts for.

        Raises:
            WorkerError: a process died.
        """
        if self.count == 1:
            return
        missing = [call for call in calls if not kept(call)]
        tally.found(pieces * (len(calls) - len(missing)))
        if not missing:
            return
        if self._pool is None:
            fresh = get_context("spawn")
            self._said = fresh.Queue()
            self._pool = futures.ProcessPoolExecutor(self.count, fresh, initializer=_begin, initargs=(self._said,))
        try:
            waiting = {self._pool.submit(_called, function, *call) for call in missing}
            while waiting:
                ended, waiting = futures.wait(waiting, LISTEN_SECONDS, futures.FIRST_COMPLETED)
                lasts = [last for call in ended if (last := call.result()) is not None]
                for text in self._heard():
                    if text not in lasts:
                        tally.note(text)
                for last in lasts:
                    tally.done(last, pieces=pieces, always=True)
        except BrokenProcessPool as error:
            raise WorkerError(
                "a process died, perhaps of too little memory: the same words go on from what is kept, with fewer workers"
            ) from error

    def _heard(self) -> Iterator[str]:
        assert self._said is not None
        with suppress(Empty):
            while True:
                yield self._said.get_nowait()


class Relayed(Tally):
    """The tally of a call: it tells the caller what it hears, and the caller's own says it."""

    def __init__(self) -> None:
        super().__init__(None, 0, "pieces")

    def done(self, text: str, *, pieces: int = 1, always: bool = False) -> None:
        """Take note of a piece that is done. The last one stands for the call."""
        super().done(text, pieces=pieces, always=always)
        _told.last = text
        self.note(text)

    def note(self, text: str) -> None:
        """Tell the caller of a piece that goes on."""
        if _told.queue is not None:
            _told.queue.put(text)


class _Told:
    """What this process has told its caller."""

    queue: Queue[str] | None = None
    last: str | None = None


_told = _Told()


def _called(function: Callable[..., object], *arguments: Any) -> str | None:
    """Make a call. Return the last piece that it counted, or None if it came to no result."""
    _told.last = None
    with suppress(DistillationError):
        function(*arguments)
        return _told.last
    return None


def _begin(queue: Queue[str]) -> None:
    """Compute on one thread, and end at once when the caller does or is interrupted."""
    _told.queue = queue
    queue.cancel_join_thread()  # nobody may listen any more
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=_end_with_the_caller, daemon=True).start()


def _end_with_the_caller() -> None:
    caller = parent_process()
    assert caller is not None
    connection.wait([caller.sentinel])
    os._exit(1)


def usual_count(device: str | torch.device) -> int:
    """Return one process per core of a processor; one for another device."""
    return (os.cpu_count() or 1) if resolve_device(device).type == "cpu" else 1
