"""Pixels as bytes. Optimised pixels leave [0, 1]; one span per summary keeps them, and real images keep their bytes."""

from __future__ import annotations

import torch
from torch import Tensor

from ddcore.errors import SummaryFormatError

Span = tuple[float, float]
UNIT: Span = (0.0, 1.0)


def quantise(pixels: Tensor, span: Span = UNIT) -> Tensor:
    r"""Return :math:`\mathrm{round}(255\,(x - a)/(b - a))` as bytes for a span :math:`[a, b]`; outside of it, clipped."""
    low, high = span
    return pixels.sub(low).mul(255.0 / (high - low)).round().clamp(0, 255).to(torch.uint8)


def dequantise(stored: Tensor, span: Span = UNIT) -> Tensor:
    """Return the pixels that bytes stand for; over the unit span exactly what real bytes stand for."""
    low, high = span
    unit = stored.float().div(255.0)
    return unit if span == UNIT else unit.mul(high - low).add(low)


def fitting_span(pixels: Tensor, span: Span = UNIT) -> Span:
    """Return ``span`` if all pixels lie in it up to half a level, else the smallest one with [0, 1] that holds them."""
    half = (span[1] - span[0]) / 510
    low, high = float(pixels.min()), float(pixels.max())
    if span[0] - half <= low and high <= span[1] + half:
        return span
    return min(0.0, low), max(1.0, high)


def pack_span(span: Span) -> Tensor:
    """Return a span as two float32."""
    return torch.tensor(span, dtype=torch.float32)


def unpack_span(stored: Tensor | None) -> Span:
    """Return the stored span, the unit span where none is stored, or raise `SummaryFormatError`."""
    if stored is None:
        return UNIT
    low, high = read_span(stored)
    if not -1e6 < low <= 0 < 1 <= high < 1e6:
        raise SummaryFormatError(f"a span must hold [0, 1] and be finite, found [{low:.3g}, {high:.3g}]")
    return low, high


def read_span(stored: Tensor) -> Span:
    """Return two stored numbers, whatever they are, or raise `SummaryFormatError`."""
    if tuple(stored.shape) != (2,) or stored.dtype != torch.float32:
        raise SummaryFormatError(f"a span must be 2 of float32, found {tuple(stored.shape)} of {stored.dtype}")
    low, high = stored.tolist()
    return low, high
