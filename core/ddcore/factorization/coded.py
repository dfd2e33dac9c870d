"""Tensors as codes: shapes, and numbers on few levels (`ddcore.ground.entropy_coder`).

A code is a byte that says what it holds, the shape, perhaps a span or a palette, and the coded
numbers.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from ddcore.errors import BudgetError, SummaryFormatError
from ddcore.factorization.scale import Levels, Palette, Scale, as_bytes
from ddcore.factorization.span import UNIT
from ddcore.ground.entropy_coder import MOST_NUMBERS_PER_BYTE, Grid, decode, encode

UNIT_LEVELS, SPAN_LEVELS, BYTES, INTS, COLOURS = range(5)
"""What a code holds: numbers in [0, 1] on levels; those of a span; bytes; int32; or pixels on a
palette, which stands before them."""
MAX_DIMENSIONS = 8
MAX_NUMBERS = 2**24
"""Most numbers of a code."""
SPAN_BYTES = 8
_VARINT = 10
REMEMBERED, MOST_REMEMBERED = 32, 2**22
"""How many codes are kept in memory with what they stand for, and numbers of the largest."""
_READ: dict[tuple[bytes, Grid, int], bytes] = {}


def code_of(tensor: Tensor, scale: Scale | None) -> Tensor:
    """Return the code of a tensor, as bytes.

    Args:
        tensor: floats, which are put on a scale; or uint8 or int32, which are kept as they are.
        scale: of floats. A span other than [0, 1] is part of the code, as a palette is.

    Raises:
        BudgetError: they are more than `MAX_NUMBERS`.
    """
    tensor = tensor.detach().cpu()
    if not tensor.is_floating_point():
        kind, levels, head = (BYTES if tensor.dtype == torch.uint8 else INTS), 256, b""
        places = tensor.contiguous().view(torch.uint8).view(*tensor.shape, -1) if kind == INTS else tensor
    elif isinstance(scale, Palette):
        colours = scale.colours.detach().cpu()
        kind, levels, head = COLOURS, len(colours), as_bytes(colours).numpy().tobytes()
        places = Palette(colours).places(tensor.float())
    else:
        assert scale is not None
        scale = scale.read()
        unit = (scale.low, scale.high) == UNIT
        kind, levels = UNIT_LEVELS if unit else SPAN_LEVELS, scale.count
        head = b"" if unit else struct.pack("<2f", scale.low, scale.high)
        places = scale.places(tensor.float())
    if places.numel() > MAX_NUMBERS:
        raise BudgetError(
            f"a code holds {MAX_NUMBERS} numbers at most, not {places.numel()}: store fewer or smaller examples, or do not compress them"
        )
    said = bytes([kind]) + b"".join(map(_varint, (len(places.shape), *places.shape))) + head
    body = _coded(places.flatten().to(torch.uint8).numpy().tobytes(), Grid.of(places.shape), levels)
    return torch.frombuffer(bytearray(said + body), dtype=torch.uint8).clone()


def decoded(name: str, code: Tensor, levels: int, channels: int = 1) -> tuple[Tensor, Scale | None]:
    """Return the tensor that a code stands for, and its scale. Floats come as float32.

    Args:
        name: of the tensor, for errors.
        code: bytes.
        levels: of floats, or colours of a palette.
        channels: of a colour.

    Raises:
        SummaryFormatError: it is not a code, or claims more numbers than its bytes can hold.
    """
    if code.dtype != torch.uint8 or code.ndim != 1 or len(code) < 3:
        raise SummaryFormatError(f"{name} must be a code of some bytes, found {tuple(code.shape)} of {code.dtype}")
    read = iter(data := code.numpy().tobytes())
    try:
        kind, dimensions = next(read), _read_varint(read)
        if kind > COLOURS or not 0 < dimensions <= MAX_DIMENSIONS:
            raise SummaryFormatError(f"{name} is no code of a tensor: kind {kind}, {dimensions} dimensions")
        shape = tuple(_read_varint(read) for _ in range(dimensions))
        scale = _read_scale(kind, levels, channels, read)
    except (StopIteration, RuntimeError) as error:
        raise SummaryFormatError(f"{name} ends before its shape does") from error
    body = bytes(read)
    count = math.prod(shape)
    if not 0 < count <= min(MOST_NUMBERS_PER_BYTE * len(data), MAX_NUMBERS):
        raise SummaryFormatError(f"{name} claims {count} numbers in {len(data)} bytes: a code cannot hold so many")
    if isinstance(scale, Levels) and not -1e30 < scale.low < scale.high < 1e30:
        raise SummaryFormatError(
            f"{name} has the span [{scale.low:.3g}, {scale.high:.3g}]: it must be finite and not empty"
        )
    if kind == COLOURS and (len(shape) != 4 or shape[1] != 1):
        raise SummaryFormatError(f"{name} has colours in {shape}: pixels on a palette are one plane per image")
    known = 256 if scale is None else levels
    places = torch.frombuffer(bytearray(_numbers(body, Grid.of(shape), known)), dtype=torch.uint8).view(shape)
    if int(places.max()) >= known:
        raise SummaryFormatError(f"{name} holds level {int(places.max())} of {known}")
    if scale is not None:
        return scale.numbers(places.float()), scale
    if kind == BYTES:
        return places, None
    if shape[-1] != 4:
        raise SummaryFormatError(f"{name} holds whole numbers of {shape[-1]} bytes: they have 4")
    return places.contiguous().view(torch.int32).view(shape[:-1]), None


def _read_scale(kind: int, levels: int, channels: int, read: Iterator[int]) -> Scale | None:
    if kind == SPAN_LEVELS:
        return Levels(levels, *struct.unpack("<2f", _next(read, SPAN_BYTES)))
    if kind == COLOURS:
        colours = torch.frombuffer(bytearray(_next(read, levels * channels)), dtype=torch.uint8)
        return Palette(colours.view(levels, channels).float().div(255))
    return Levels(levels) if kind == UNIT_LEVELS else None


def _next(read: Iterator[int], count: int) -> bytes:
    return bytes(next(read) for _ in range(count))


def _coded(numbers: bytes, grid: Grid, levels: int) -> bytes:
    """Return the code of numbers. The same ones are often written again: sized, stored, sent."""
    return (_kept_code if len(numbers) <= MOST_REMEMBERED else encode)(numbers, grid, levels)


@lru_cache(maxsize=REMEMBERED)
def _kept_code(numbers: bytes, grid: Grid, levels: int) -> bytes:
    code = encode(numbers, grid, levels)
    _remember(code, grid, levels, numbers)
    return code


def _numbers(code: bytes, grid: Grid, levels: int) -> bytes:
    """Return what a code stands for. A summary is decoded many times, its codes do not change."""
    known = _READ.get((code, grid, levels))
    if known is None:
        known = decode(code, grid, levels)
        _remember(code, grid, levels, known)
    return known


def _remember(code: bytes, grid: Grid, levels: int, numbers: bytes) -> None:
    if len(numbers) <= MOST_REMEMBERED:
        _READ[code, grid, levels] = numbers
    while len(_READ) > REMEMBERED:
        del _READ[next(iter(_READ))]


def _varint(number: int) -> bytes:
    """Return seven bits per byte, the lowest first; the highest bit says that more follow."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes(found + bytes([number]))


def _read_varint(read: Iterator[int]) -> int:
    number = 0
    for place in range(_VARINT):
        byte = next(read)
        number |= (byte & 127) << 7 * place
        if byte < 128:
            return number
    raise StopIteration
