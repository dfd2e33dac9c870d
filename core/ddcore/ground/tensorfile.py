"""Reading and writing tensors by name (safetensors), with nothing taken on trust.

A summary may come from a stranger. Before any tensor is made, the header is checked against the
file's size. Names, types, shapes and byte ranges must agree exactly. So no header can ask for more
memory than the file has bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ddcore.errors import SummaryFormatError, WritingError

MAX_FILE = 2**32
MAX_HEADER = 2**20
MAX_TENSORS = 4096
_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_BYTES = {"U8": 1, "I8": 1, "BOOL": 1, "F16": 2, "BF16": 2, "I16": 2, "I32": 4, "F32": 4, "F64": 8, "I64": 8}


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors to ``path``. The file appears whole or not at all."""
    write_atomically(path, pack_tensors(tensors))


def pack_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    """Return named tensors as the content of a safetensors file."""
    return save({name: tensor.contiguous().clone() for name, tensor in tensors.items()})


def write_atomically(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write ``content`` to a neighbour of ``path``, then rename the neighbour.

    It is synced to disk before it is renamed, and its folder after.

    Args:
        path: of the file.
        content: all of it.
        mode: permission bits of the file, from its first byte on. The process's umask takes its own
            away.

    Raises:
        WritingError: it cannot be written, since the disk is full, say. What was there stays.
    """
    temporary = path.with_name(f".{path.name}.writing")
    try:
        temporary.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise WritingError(path, len(content), error) from error
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read named tensors, all finite.

    Raises:
        SummaryFormatError: the file is truncated, damaged or malformed. The message names the
            fault.
    """
    return unpack_tensors(read_limited(path, MAX_FILE), path.name)


def unpack_tensors(content: bytes, title: str) -> dict[str, Tensor]:
    """Return the named tensors, all finite, that `pack_tensors` packed.

    Args:
        content: from a stranger, perhaps.
        title: what it is, for messages.

    Raises:
        SummaryFormatError: it is truncated, damaged or malformed. The message names the fault.
    """
    _check_header(content, title)
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, RuntimeError, KeyError) as error:
        raise SummaryFormatError(f"{title} is not a valid tensor file: {error}") from error
    for name, tensor in tensors.items():
        if tensor.dtype.is_floating_point and not bool(torch.isfinite(tensor).all()):
            raise SummaryFormatError(f"{title}: tensor {name!r} holds NaN or infinity")
    return tensors


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_limited(path: Path, limit: int) -> bytes:
    """Return a file's content.

    Raises:
        SummaryFormatError: it is missing, no plain file, or larger than ``limit``.
    """
    try:
        if not path.is_file():
            raise SummaryFormatError(f"{path} is missing: its folder holds no complete summary")
        if path.stat().st_size > limit:
            raise SummaryFormatError(
                f"{path.name} has {path.stat().st_size} bytes, more than the {limit} that are read"
            )
        return path.read_bytes()
    except OSError as error:
        raise SummaryFormatError(f"{path.name} cannot be read: {error.strerror}") from error


def read_json(path: Path, limit: int = MAX_HEADER) -> dict[str, Any]:
    """Return the JSON object in a file, or raise `SummaryFormatError`."""
    return _object(read_limited(path, limit), path.name)


def checked_text(value: object, file: str, longest: int = 200) -> str:
    """Return a text that a stranger's file holds, or raise `SummaryFormatError`."""
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise SummaryFormatError(f"{file}: a name must be printable text of at most {longest} characters")
    return value


def _object(content: bytes, name: str) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise SummaryFormatError(f"{name} holds {constant}, which is not a JSON number")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise SummaryFormatError(f"{name} names an entry twice")
        return found

    try:
        parsed = json.loads(content.decode("utf-8"), parse_constant=refuse, object_pairs_hook=unique)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        if isinstance(error, SummaryFormatError):
            raise
        raise SummaryFormatError(f"{name} is not readable JSON: {type(error).__name__}") from error
    if not isinstance(parsed, dict):
        raise SummaryFormatError(f"{name} is not a JSON object")
    return parsed


def _check_header(content: bytes, file: str) -> None:
    if len(content) < 8:
        raise SummaryFormatError(f"{file} is truncated: {len(content)} bytes")
    length = int.from_bytes(content[:8], "little")
    if length > MAX_HEADER or 8 + length > len(content):
        raise SummaryFormatError(f"{file} is truncated or damaged: its header claims {length} bytes")
    header = _object(content[8 : 8 + length], f"{file}'s header")
    header.pop("__metadata__", None)
    if not 0 < len(header) <= MAX_TENSORS:
        raise SummaryFormatError(f"{file} holds {len(header)} tensors: allowed are 1 to {MAX_TENSORS}")
    ranges = sorted(_check_entry(name, entry, file) for name, entry in header.items())
    end = 0
    for start, stop in ranges:
        if start != end:
            raise SummaryFormatError(f"{file}: byte ranges overlap or leave gaps at {start}")
        end = stop
    if end != len(content) - 8 - length:
        raise SummaryFormatError(f"{file} is truncated or has extra bytes: {len(content) - 8 - length} for {end}")


def _check_entry(name: str, entry: object, file: str) -> tuple[int, int]:
    if not _NAME.fullmatch(name) or len(name) > 200:
        raise SummaryFormatError(f"{file}: {name[:60]!r} is not an allowed tensor name")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise SummaryFormatError(f"{file}: the entry of {name!r} is malformed")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BYTES:
        raise SummaryFormatError(f"{file}: {name!r} has type {str(dtype)[:20]!r}; allowed are {', '.join(_BYTES)}")
    if not _whole_numbers(shape) or len(shape) > 8 or any(side > 2**31 for side in shape):
        raise SummaryFormatError(f"{file}: {name!r} has an absurd shape")
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * _BYTES[dtype]:
        raise SummaryFormatError(f"{file}: the byte range of {name!r} does not fit its shape and type")
    return offsets[0], offsets[1]


def _whole_numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)
