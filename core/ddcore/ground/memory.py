"""What fits the memory of an accelerator, and another try where something did not fit."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch

T = TypeVar("T")

SHARE = 0.5
"""What one pass may take of the memory that is free."""
CHANNELS = 128
"""Channels of the layers that sizes are reckoned for, as in the field's ConvNet."""
KEPT_ONCE, KEPT_TWICE = 8, 16
"""Layers as large as the first that a graph of first and of second order keeps, with room to spare.

A ConvNet of depth 3 or 4 with norms keeps 3.0 and 5.7, a ResNet-18 9.0 and 18.3.
"""


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that tensors can still take. None: they are not known, or it is a CPU.

    What torch holds of a GPU's memory and does not use is free.
    """
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def may_run_out(device: torch.device) -> bool:
    """Whether torch tells a device's lack of memory, so that something smaller can be tried."""
    return device.type != "cpu"


def graph_bytes(shape: tuple[int, ...], layers: int) -> int:
    """Return the bytes that the graph of one example keeps, in single precision.

    Args:
        shape: of an example: channels and sides, or the length of a vector.
        layers: of `CHANNELS` numbers per pixel.
    """
    return 4 * layers * max(math.prod(shape), CHANNELS * math.prod(shape[1:]))


def fitting(each: int, device: torch.device, most: int) -> int:
    """Return how many things of ``each`` bytes are made at once: ``most``, if they fit.

    Else it is the largest power of two that takes at most `SHARE` of the free memory, or 1.
    """
    free = free_memory(device)
    if free is None or most * each <= SHARE * free:
        return most
    return int(2 ** math.floor(math.log2(max(1.0, SHARE * free / each))))


def again_if_it_does_not_fit(attempt: Callable[[], T], smaller: Callable[[str], None]) -> T:
    """Return what ``attempt`` returns. It is made again as long as memory does not suffice.

    Args:
        attempt: may raise ``torch.OutOfMemoryError``.
        smaller: is told the reason after each failure, when nothing of the attempt is in memory any
            more. It makes the next attempt smaller, or raises.
    """
    while True:
        try:
            return attempt()
        except torch.OutOfMemoryError as error:
            reason = str(error).partition(". ")[0]
        # The error's frames, which hold the graph, are gone here, but not what refers to itself.
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        smaller(reason)


_LIMIT: ContextVar[int | None] = ContextVar("_LIMIT", default=None)


@contextmanager
def micro_batches_within(limit: int | None) -> Iterator[None]:
    """Inside the block `ddcore.ground.fitting_micro_batch` returns at most ``limit``.

    None: there is no limit.
    """
    token = _LIMIT.set(limit)
    try:
        yield
    finally:
        _LIMIT.reset(token)


def within_limit(count: int) -> int:
    """Return ``count``, or the limit of the block around, if that is smaller."""
    limit = _LIMIT.get()
    return count if limit is None else min(count, limit)
