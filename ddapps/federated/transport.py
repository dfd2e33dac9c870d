"""Weights in one byte each: every one over the span of its array."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid

from ddcore.settings import require

LEVELS, SPANS = "levels", "spans"


def encoded(weights: Mapping[str, torch.Tensor], transport: str) -> ArrayRecord:
    r"""Return weights as arrays: one each, or all in one array of bytes, with one of spans.

    A byte is :math:`\mathrm{round}\big(255 (w - a) / (b - a)\big)` over the span :math:`[a, b]` of
    its weight. Names and shapes do not travel: `decoded` is told them.
    """
    if transport == "float32":
        return ArrayRecord({name: Array(weight.numpy()) for name, weight in weights.items()})
    levels, spans = [], []
    for weight in weights.values():
        values = weight.numpy()
        low, high = float(values.min()), float(values.max())
        levels.append(np.rint((values.ravel() - low) * (255 / (high - low or 1.0))).astype(np.uint8))
        spans.append((low, high))
    return ArrayRecord({LEVELS: Array(np.concatenate(levels)), SPANS: Array(np.array(spans, dtype=np.float32))})


def arrays_of(record: ArrayRecord) -> dict[str, torch.Tensor]:
    """Return the arrays of a record as tensors, as they travelled."""
    return {name: torch.from_numpy(np.array(array.numpy())) for name, array in record.items()}


def decoded(arrays: Mapping[str, torch.Tensor], like: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights that `encoded` put into arrays, in either transport.

    Args:
        arrays: as they travelled.
        like: weights of the same names and shapes.
    """
    if set(arrays) != {LEVELS, SPANS}:
        return dict(arrays)
    sizes = [weight.numel() for weight in like.values()]
    levels, spans = arrays[LEVELS].float(), arrays[SPANS]
    require(
        len(levels) == sum(sizes) and len(spans) == len(sizes),
        "the weights that were sent are not those of this network",
    )
    weights = {}
    for (name, weight), part, (low, high) in zip(like.items(), levels.split(sizes), spans.tolist(), strict=True):
        weights[name] = (part * ((high - low) / 255) + low).view_as(weight)
    return weights


class ByteTransport:
    """In front of one of Flower's strategies: weights travel in bytes, both ways.

    The strategy sees numbers.

    Attributes:
        like: weights of the global model, for names and shapes.
    """

    like: Mapping[str, torch.Tensor]

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        small = encoded(decoded(arrays_of(arrays), self.like), "uint8")
        return super().configure_train(server_round, small, config, grid)  # type: ignore[misc,no-any-return]

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Any:
        received = list(replies)
        for reply in received:
            if reply.has_content():
                for name, arrays in list(reply.content.array_records.items()):
                    reply.content[name] = encoded(decoded(arrays_of(arrays), self.like), "float32")
        return super().aggregate_train(server_round, received)  # type: ignore[misc]
