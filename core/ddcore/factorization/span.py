"""Pixels as bytes over a span.

Optimised pixels leave [0, 1]. A summary's span holds them all. Over the unit span real images
keep their own bytes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ddcore.errors import SummaryFormatError

Span = tuple[float, float]
UNIT: Span = (0.0, 1.0)


def quantise(pixels: Tensor, span: Span = UNIT) -> Tensor:
    r"""Return :math:`\mathrm{round}(255\,(x - a)/(b - a))` as bytes for a span :math:`[a, b]`.

    Pixels outside of the span are clipped.
    """
    low, high = span
    return pixels.sub(low).mul(255.0 / (high - low)).round().clamp(0, 255).to(torch.uint8)


def dequantise(stored: Tensor, span: Span = UNIT) -> Tensor:
    """Return the pixels that bytes stand for. Over the unit span they are those of real bytes."""
    low, high = span
    unit = stored.float().div(255.0)
    return unit if span == UNIT else unit.mul(high - low).add(low)


def fitting_span(pixels: Tensor, span: Span = UNIT) -> Span:
    """Return ``span`` if it holds all pixels up to half a level.

    Else return the smallest span that holds them and [0, 1].
    """
    half = (span[1] - span[0]) / 510
    low, high = float(pixels.min()), float(pixels.max())
    if span[0] - half <= low and high <= span[1] + half:
        return span
    return min(0.0, low), max(1.0, high)


def pack_span(span: Span) -> Tensor:
    """Return a span as a tensor of two float32."""
    return torch.tensor(span, dtype=torch.float32)


def unpack_span(stored: Tensor | None) -> Span:
    """Return the stored span, or the unit span if none is stored.

    Raises:
        SummaryFormatError: it is not finite, or does not hold [0, 1].
    """
    if stored is None:
        return UNIT
    low, high = read_span(stored)
    if not -1e6 < low <= 0 < 1 <= high < 1e6:
        raise SummaryFormatError(f"a span must hold [0, 1] and be finite, found [{low:.3g}, {high:.3g}]")
    return low, high


def read_span(stored: Tensor) -> Span:
    """Return two stored numbers, whatever they are.

    Raises:
        SummaryFormatError: it is not two numbers in float32.
    """
    if tuple(stored.shape) != (2,) or stored.dtype != torch.float32:
        raise SummaryFormatError(f"a span must be 2 of float32, found {tuple(stored.shape)} of {stored.dtype}")
    low, high = stored.tolist()
    return low, high
