"""Weights as they travel: Flower's arrays, or all in one record of compressed bytes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord

from ddapps.federated.squeezing import squeeze, unsqueezed
from ddcore.errors import SummaryFormatError
from ddcore.settings import require

PLAIN, PACKED, BYTES = "float32", "packed", "uint8"
TRANSPORTS = (PLAIN, PACKED, BYTES)
SPAN = 8
"""Bytes of a span: two numbers in float32."""


def encoded(weights: Mapping[str, torch.Tensor], transport: str) -> ArrayRecord | ConfigRecord:
    r"""Return weights as a record.

    ``float32`` are Flower's own arrays. The others are one compressed text of bytes (zlib), without
    names and shapes, which `decoded` is told. In ``packed`` it holds all numbers in float32, first
    bytes first, then second ones: signs and exponents lie together. In ``uint8`` it holds the span
    :math:`[a, b]` of each weight, then a byte for each of its numbers,
    :math:`\mathrm{round}\big(255 (w - a) / (b - a)\big)`.
    """
    if transport == PLAIN:
        return ArrayRecord({name: Array(weight.numpy()) for name, weight in weights.items()})
    content = _in_planes(weights) if transport == PACKED else _in_levels(weights)
    return ConfigRecord({transport: squeeze(content)})


def arrays_of(record: ArrayRecord | ConfigRecord) -> dict[str, torch.Tensor]:
    """Return what travelled as tensors: arrays by name, or one text of compressed bytes.

    Raises:
        SummaryFormatError: the record is neither.
    """
    if isinstance(record, ArrayRecord):
        return {name: torch.from_numpy(np.array(array.numpy())) for name, array in record.items()}
    found = {name: record.get(name) for name in record}
    if len(found) != 1 or not set(found) <= {PACKED, BYTES} or not isinstance(content := found.popitem()[1], bytes):
        raise SummaryFormatError(f"weights travel as {', '.join(TRANSPORTS)}, not as {sorted(map(str, record))[:5]}")
    return {next(iter(record)): torch.from_numpy(np.frombuffer(content, np.uint8).copy())}


def decoded(arrays: Mapping[str, torch.Tensor], like: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights that `encoded` put into a record, in any transport.

    No more is unpacked than the weights take.

    Args:
        arrays: as they travelled.
        like: weights of the same names and shapes.

    Raises:
        SummaryFormatError: what travelled is damaged, or longer.
        SettingsError: it is of another network.
    """
    sizes = [weight.numel() for weight in like.values()]
    if set(arrays) == {PACKED}:
        content = _unpacked(arrays[PACKED], 4 * sum(sizes))
        numbers = np.ascontiguousarray(content.reshape(4, -1).T).view("<f4").ravel()
        parts = list(torch.from_numpy(numbers.copy()).split(sizes))
    elif set(arrays) == {BYTES}:
        content = _unpacked(arrays[BYTES], SPAN * len(sizes) + sum(sizes))
        spans = content[: SPAN * len(sizes)].copy().view("<f4").reshape(-1, 2).tolist()
        levels = torch.from_numpy(content[SPAN * len(sizes) :].copy()).float().split(sizes)
        parts = [part * ((high - low) / 255) + low for part, (low, high) in zip(levels, spans, strict=True)]
    else:
        return dict(arrays)
    return {
        name: part.view_as(weight).to(weight.dtype) for (name, weight), part in zip(like.items(), parts, strict=True)
    }


def _unpacked(content: torch.Tensor, length: int) -> np.ndarray:
    found = unsqueezed(content.numpy().tobytes(), length)
    require(len(found) == length, "the weights that were sent are not those of this network")
    return np.frombuffer(found, np.uint8)


def _in_planes(weights: Mapping[str, torch.Tensor]) -> bytes:
    numbers = np.concatenate([weight.numpy().ravel().astype("<f4") for weight in weights.values()])
    return np.ascontiguousarray(numbers.view(np.uint8).reshape(-1, 4).T).tobytes()


def _in_levels(weights: Mapping[str, torch.Tensor]) -> bytes:
    levels, spans = [], []
    for weight in weights.values():
        values = weight.numpy()
        low, high = float(values.min()), float(values.max())
        levels.append(np.rint((values.ravel() - low) * (255 / (high - low or 1.0))).astype(np.uint8))
        spans.append((low, high))
    return np.array(spans, "<f4").tobytes() + np.concatenate(levels).tobytes()
