"""Bytes of examples that lie in a file: pages are read where examples are drawn, and let go after.

Such a tensor is indexed, cut and compared as any other. Only what would copy all of it asks here.
"""

from __future__ import annotations

import math
import mmap
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.ground.devices import to_device

LOT_BYTES = 2**22
"""Of examples that are read at a time."""

AT_ONCE = 8
"""Examples that are drawn before pages are let go: each may bring 2 MB of its neighbours along."""

HELD_BYTES = 2**26
"""Up to this size, chosen examples of a file are held in memory."""

# Without it, Linux refuses to map more bytes for writing than there is memory. Python has no name.
_NO_RESERVE = 0x4000 if sys.platform == "linux" else 0


class _Map(mmap.mmap):
    """A file's pages, and the folder where the file lies."""

    folder: Path


_MAPS: WeakValueDictionary[int, _Map] = WeakValueDictionary()
"""Mapped files by the address of their first byte."""


def mapped(file: BinaryIO, shape: Sequence[int], folder: Path) -> Tensor:
    """Return a file's bytes as a tensor of bytes, none of them read yet.

    A change in place never reaches the file, and does not last.

    Args:
        file: open for reading. It may be closed, or deleted, afterwards.
        shape: of the tensor, with at least one entry.
        folder: where chosen examples are written, if they are many.
    """
    flags, rights = mmap.MAP_PRIVATE | _NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE
    pages = _Map(file.fileno(), math.prod(shape), flags=flags, prot=rights)
    pages.folder = folder
    tensor = torch.frombuffer(pages, dtype=torch.uint8)
    _MAPS[tensor.data_ptr()] = pages
    return tensor.view(*shape)


def is_mapped(tensor: object) -> bool:
    """Whether these are bytes in a file, or a part of them."""
    return _pages_of(tensor) is not None


def _pages_of(tensor: object) -> _Map | None:
    if not _MAPS or type(tensor) is not Tensor or tensor.device.type != "cpu" or tensor.layout != torch.strided:
        return None
    return _MAPS.get(tensor.untyped_storage().data_ptr())


def let_go(tensor: object) -> None:
    """Let go of the pages that were read. They count as this process's memory no more.

    The system may keep them, and reads them again when they are needed. Of other tensors, nothing
    is done.
    """
    pages = _pages_of(tensor)
    if pages is not None:
        pages.madvise(mmap.MADV_DONTNEED)


def lots(inputs: Tensor, size: int | None = None) -> Iterator[Tensor]:
    """Yield examples in order, some at a time. Pages of earlier ones are let go.

    Args:
        inputs: ``n x ...``.
        size: examples of a lot; default: as many as `LOT_BYTES` hold, at least one.
    """
    for part in inputs.split(size or _lot(inputs)):
        yield part
        let_go(inputs)


def _lot(inputs: Tensor) -> int:
    return max(1, LOT_BYTES // max(1, math.prod(inputs.shape[1:]) * inputs.element_size()))


def placed(inputs: Tensor, device: torch.device) -> Tensor:
    """Return the examples on ``device``; those that take over half of its free memory stay."""
    moved = device.type == "cuda" and type(inputs) is Tensor and inputs.device.type == "cpu"
    if moved and inputs.nbytes > torch.cuda.mem_get_info(device)[0] // 2:
        return inputs
    there = inputs.to(device)
    let_go(inputs)
    return there


def examples_at(inputs: Tensor, indices: Tensor, device: torch.device) -> Tensor:
    """Return a copy of the examples at ``indices`` on ``device``, from where `placed` left them."""
    if inputs.device.type == device.type and not is_mapped(inputs):
        return inputs[to_device(indices, device)]
    found = inputs.new_empty(len(indices), *inputs.shape[1:])
    for part, some in zip(found.split(AT_ONCE), indices.cpu().split(AT_ONCE), strict=True):
        part.copy_(inputs[some])
        let_go(inputs)
    return to_device(found, device)


def chosen(inputs: Tensor, indices: Tensor) -> Tensor:
    """Return the examples at ``indices``, to keep. They lie where the others do.

    Of a file, examples that follow each other are a part of it. Others are written to a file of
    their own, which is gone with its tensor, unless they are few (`HELD_BYTES`).

    Raises:
        InputDataError: that file cannot be written.
    """
    pages = _pages_of(inputs)
    if pages is None or indices.ndim != 1 or indices.dtype != torch.int64 or not len(indices):
        return inputs[indices]
    first = int(indices[0])
    if first >= 0 and torch.equal(indices, torch.arange(first, first + len(indices))):
        return inputs[first : first + len(indices)]
    shape = (len(indices), *inputs.shape[1:])
    if math.prod(shape) <= HELD_BYTES:
        return examples_at(inputs, indices, inputs.device)
    try:
        with tempfile.TemporaryFile(dir=pages.folder) as file:
            for some in indices.split(_lot(inputs)):
                file.write(examples_at(inputs, some, inputs.device).numpy().tobytes())
            file.flush()
            return mapped(file, shape, pages.folder)
    except OSError as error:
        raise InputDataError(
            f"{math.prod(shape) / 1e9:.1f} GB of chosen examples cannot be written to {pages.folder} ({error}): "
            "free space there, or set DDCORE_CACHE to a folder on another disk"
        ) from error
