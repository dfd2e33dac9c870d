"""Calls in several processes of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
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
            self._pool = ProcessPoolExecutor(self.count, _context(function.__module__), initializer=_begin)
        waiting = {self._pool.submit(_called, function, *arguments): number for number, arguments in enumerate(calls)}
        try:
            for ended in as_completed(waiting):
                ended.result()
                yield waiting[ended]
        except BrokenProcessPool as error:
            raise WorkerError(
                "a process died, perhaps of too little memory: the same words go on from what is kept, with fewer workers"
            ) from error


def _context(module: str) -> BaseContext:
    """Return how processes start: where it can be, from one that has imported a module for all."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def _called(function: Callable[..., object], *arguments: Any) -> None:
    with suppress(DistillationError):
        function(*arguments)


def _begin() -> None:
    """Compute on one thread, and end when the caller does: one that is killed leaves no process."""
    torch.set_num_threads(1)
    Thread(target=_end_with_the_caller, daemon=True).start()


def _end_with_the_caller() -> None:
    caller = parent_process()
    assert caller is not None
    wait([caller.sentinel])
    os._exit(1)


def usual_count(most: int, device: str | torch.device) -> int:
    """Return one process per core of a processor, ``most`` at most; one for another device."""
    return min(most, os.cpu_count() or 1) if resolve_device(device).type == "cpu" else 1
