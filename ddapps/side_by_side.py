"""Calls in several processes of this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread
from typing import Any

import torch

from ddcore.errors import DistillationError, WorkerError
from ddcore.ground import resolve_device
from ddcore.settings import require_counts


class Processes:
    """Fresh processes of one thread each, which are there until the block ends.

    Args:
        count: how many. One makes no calls: the caller is that one.
    """

    def __init__(self, count: int = 1) -> None:
        require_counts(workers=count)
        self.count = count
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def made(self, function: Callable[..., object], calls: Sequence[tuple[Any, ...]]) -> Iterator[int]:
        """Call a function of a module with each tuple of arguments, and yield numbers as they end.

        Such calls leave results on disk; what they return is dropped. So is a `DistillationError`:
        whoever then finds no result makes the call himself, and meets it there.

        Raises:
            WorkerError: a process died.
        """
        if not calls:
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.count, get_context("spawn"), initializer=_begin)
        try:
            waiting = {self._pool.submit(_called, function, *call): number for number, call in enumerate(calls)}
            for ended in as_completed(waiting):
                ended.result()
                yield waiting[ended]
        except BrokenProcessPool as error:
            raise WorkerError(
                "a process died, perhaps of too little memory: the same words go on from what is kept, with fewer workers"
            ) from error


def _called(function: Callable[..., object], *arguments: Any) -> None:
    with suppress(DistillationError):
        function(*arguments)


def _begin() -> None:
    """Compute on one thread, and end at once when the caller does or is interrupted."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=_end_with_the_caller, daemon=True).start()


def _end_with_the_caller() -> None:
    caller = parent_process()
    assert caller is not None
    wait([caller.sentinel])
    os._exit(1)


def usual_count(device: str | torch.device) -> int:
    """Return one process per core of a processor; one for another device."""
    return (os.cpu_count() or 1) if resolve_device(device).type == "cpu" else 1
