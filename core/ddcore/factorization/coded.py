"""Tensors as codes: shapes, and numbers on few levels (`ddcore.ground.entropy_coder`).

A code is a byte that says what it holds, the shape, perhaps a span, and the coded numbers.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from ddcore.errors import BudgetError, SummaryFormatError
from ddcore.factorization.span import UNIT, Span
from ddcore.ground.entropy_coder import MOST_NUMBERS_PER_BYTE, Grid, decode, encode

UNIT_LEVELS, SPAN_LEVELS, BYTES, INTS = range(4)
"""What a code holds: numbers in [0, 1] on levels; those of a span; bytes; or int32."""
MAX_DIMENSIONS = 8
MAX_NUMBERS = 2**24
"""Most numbers of a code."""
SPAN_BYTES = 8
_VARINT = 10
REMEMBERED = 64
"""How many codes are kept in memory with what they stand for."""
_READ: dict[tuple[bytes, Grid, int], bytes] = {}


def on_levels(numbers: Tensor, levels: int, span: Span) -> Tensor:
    r"""Return :math:`\mathrm{round}((L - 1)(x - a)/(b - a))` in 0 .. L - 1, as floats."""
    low, high = span
    return numbers.sub(low).mul((levels - 1) / (high - low)).round().clamp(0, levels - 1)


def off_levels(places: Tensor, levels: int, span: Span) -> Tensor:
    """Return the numbers that places on levels stand for."""
    low, high = span
    return places.div(levels - 1).mul(high - low).add(low)


def span_of(numbers: Tensor) -> Span:
    """Return the smallest span of positive length that holds all numbers, in single precision."""
    low, high = float(numbers.float().min()), float(numbers.float().max())
    return (low, high) if high > low else (low, low + max(1.0, abs(low)))


def fitting(numbers: Tensor, levels: int, span: Span | None) -> Span:
    """Return ``span`` if it holds all numbers up to half a level, else their own."""
    if span is not None:
        half = (span[1] - span[0]) / (2 * (levels - 1))
        if span[0] - half <= float(numbers.min()) and float(numbers.max()) <= span[1] + half:
            return span
    return span_of(numbers)


def code_of(tensor: Tensor, levels: int, *, unit: bool, span: Span | None = None) -> Tensor:
    """Return the code of a tensor, as bytes.

    Args:
        tensor: floats, which are put on levels; or uint8 or int32, which are kept as they are.
        levels: how many.
        unit: whether floats lie in [0, 1]. Else their span is part of the code.
        span: that they had when they were read. It is kept if it still holds them.

    Raises:
        BudgetError: they are more than `MAX_NUMBERS`.
    """
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        span = UNIT if unit else fitting(tensor, levels, span)
        kind, packed_span = (UNIT_LEVELS, b"") if unit else (SPAN_LEVELS, struct.pack("<2f", *span))
        places = on_levels(tensor.float(), levels, span).long()
    else:
        kind, packed_span = (BYTES if tensor.dtype == torch.uint8 else INTS), b""
        places = tensor.contiguous().view(torch.uint8).long().view(*tensor.shape, -1) if kind == INTS else tensor.long()
        levels = 256
    if places.numel() > MAX_NUMBERS:
        raise BudgetError(
            f"a code holds {MAX_NUMBERS} numbers at most, not {places.numel()}: store fewer or smaller examples, or do not compress them"
        )
    head = bytes([kind]) + b"".join(map(_varint, (len(places.shape), *places.shape))) + packed_span
    body = _coded(places.flatten().to(torch.uint8).numpy().tobytes(), Grid.of(places.shape), levels)
    return torch.frombuffer(bytearray(head + body), dtype=torch.uint8).clone()


def decoded(name: str, code: Tensor, levels: int) -> tuple[Tensor, Span | None]:
    """Return the tensor that a code stands for, and its span. Floats come as float32.

    Raises:
        SummaryFormatError: it is not a code, or claims more numbers than its bytes can hold.
    """
    if code.dtype != torch.uint8 or code.ndim != 1 or len(code) < 3:
        raise SummaryFormatError(f"{name} must be a code of some bytes, found {tuple(code.shape)} of {code.dtype}")
    read = iter(data := code.numpy().tobytes())
    try:
        kind, dimensions = next(read), _read_varint(read)
        if kind > INTS or not 0 < dimensions <= MAX_DIMENSIONS:
            raise SummaryFormatError(f"{name} is no code of a tensor: kind {kind}, {dimensions} dimensions")
        shape = tuple(_read_varint(read) for _ in range(dimensions))
        span = struct.unpack("<2f", bytes(next(read) for _ in range(SPAN_BYTES))) if kind == SPAN_LEVELS else UNIT
    except (StopIteration, RuntimeError) as error:
        raise SummaryFormatError(f"{name} ends before its shape does") from error
    body = bytes(read)
    count = math.prod(shape)
    if not 0 < count <= min(MOST_NUMBERS_PER_BYTE * len(data), MAX_NUMBERS):
        raise SummaryFormatError(f"{name} claims {count} numbers in {len(data)} bytes: a code cannot hold so many")
    if not (-1e30 < span[0] < span[1] < 1e30):
        raise SummaryFormatError(f"{name} has the span [{span[0]:.3g}, {span[1]:.3g}]: it must be finite and not empty")
    known = levels if kind in (UNIT_LEVELS, SPAN_LEVELS) else 256
    places = torch.frombuffer(bytearray(_numbers(body, Grid.of(shape), known)), dtype=torch.uint8).long().view(shape)
    if int(places.max()) >= known:
        raise SummaryFormatError(f"{name} holds level {int(places.max())} of {known}")
    if kind in (UNIT_LEVELS, SPAN_LEVELS):
        return off_levels(places.float(), levels, (span[0], span[1])), (span[0], span[1])
    found = places.to(torch.uint8)
    if kind == BYTES:
        return found, None
    if shape[-1] != 4:
        raise SummaryFormatError(f"{name} holds whole numbers of {shape[-1]} bytes: they have 4")
    return found.contiguous().view(torch.int32).view(shape[:-1]), None


@lru_cache(maxsize=REMEMBERED)
def _coded(numbers: bytes, grid: Grid, levels: int) -> bytes:
    """Return the code of numbers. The same ones are often written again: sized, stored, sent."""
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
