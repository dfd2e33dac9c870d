"""Numbers as a summary stores them: in four bytes, in two, or in one.

Numbers of one byte lie on 256 levels of a span, which is stored with them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ddcore.errors import SummaryFormatError, UnknownNameError
from ddcore.factorization.span import Span, dequantise, pack_span, quantise, read_span

STORAGE = {"float32": torch.float32, "fp16": torch.float16, "uint8": torch.uint8}
"""Ways to store numbers: their names and types."""

SPAN = ".span"
SPAN_BYTES = 8


def check_storage(storage: str) -> None:
    """Raise `UnknownNameError` unless ``storage`` is a name in `STORAGE`."""
    if storage not in STORAGE:
        raise UnknownNameError("storage", storage, STORAGE)


def packed_bytes(shape: tuple[int, ...], storage: str) -> int:
    """Return the bytes of numbers of this shape, those of a span included."""
    return math.prod(shape) * STORAGE[storage].itemsize + (SPAN_BYTES if storage == "uint8" else 0)


def pack(name: str, numbers: Tensor, storage: str, span: Span | None = None) -> dict[str, Tensor]:
    """Return the tensors that store ``numbers``: themselves, and a span if they become bytes.

    The span is ``span`` if they fit into it, else their own.
    """
    numbers = numbers.detach().cpu()
    if storage != "uint8":
        return {name: numbers.to(STORAGE[storage]).contiguous().clone()}
    span = _span_of(numbers.float(), span)
    return {name: quantise(numbers.float(), span).contiguous(), name + SPAN: pack_span(span)}


def unpack(
    name: str, stored: Mapping[str, Tensor], shape: tuple[int, ...] | None, storage: str
) -> tuple[Tensor, Span | None]:
    """Return numbers as float32, and their span.

    Args:
        name: of the tensor.
        stored: a summary's tensors.
        shape: that it must have; None: any.
        storage: how it is stored.

    Raises:
        SummaryFormatError: type, shape or span are not what `pack` makes, or a number is not
            finite.
    """
    tensor = stored[name]
    if tensor.dtype != STORAGE[storage] or (shape is not None and tuple(tensor.shape) != shape):
        raise SummaryFormatError(
            f"{name} must be {shape or 'a tensor'} of {STORAGE[storage]}, found {tuple(tensor.shape)} of {tensor.dtype}"
        )
    if storage == "uint8":
        span = _unpack_span(name + SPAN, stored[name + SPAN])
        return dequantise(tensor, span), span
    numbers = tensor.float()
    if not bool(torch.isfinite(numbers).all()):
        raise SummaryFormatError(f"{name} holds numbers that are not finite")
    return numbers, None


def names_of(name: str, storage: str) -> set[str]:
    """Return the names of the tensors that `pack` makes of a tensor called ``name``."""
    return {name, name + SPAN} if storage == "uint8" else {name}


def _span_of(numbers: Tensor, span: Span | None) -> Span:
    low, high = float(numbers.min()), float(numbers.max())
    if span is not None:
        half = (span[1] - span[0]) / 510
        if span[0] - half <= low and high <= span[1] + half:
            return span
    # Also where all numbers are equal the span has a length, and keeps it in single precision.
    return (low, high) if high > low else (low, low + max(1.0, abs(low)))


def _unpack_span(name: str, stored: Tensor) -> Span:
    low, high = read_span(stored)
    if not -1e30 < low < high < 1e30:
        raise SummaryFormatError(f"{name} must be an interval of finite length, found [{low:.3g}, {high:.3g}]")
    return low, high
