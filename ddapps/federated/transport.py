"""Weights in one byte each: every array over its own span."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid

SPANS = "spans"
"""Name of the array that holds lowest and highest value of every other, in their order."""


def encoded(weights: Mapping[str, torch.Tensor], transport: str) -> ArrayRecord:
    r"""Return weights as arrays: as they are, or each as :math:`\mathrm{round}\big(255 (w - a) / (b - a)\big)` over its span :math:`[a, b]`."""
    if transport == "float32":
        return ArrayRecord({name: Array(weight.numpy()) for name, weight in weights.items()})
    arrays, spans = {}, []
    for name, weight in weights.items():
        values = weight.numpy()
        low, high = float(values.min()), float(values.max())
        levels = np.rint((values - low) * (255 / (high - low or 1.0)))
        arrays[name] = Array(levels.astype(np.uint8))
        spans.append((low, high))
    return ArrayRecord({**arrays, SPANS: Array(np.array(spans, dtype=np.float32))})


def decoded(arrays: ArrayRecord) -> dict[str, torch.Tensor]:
    """Return the weights that `encoded` put into arrays."""
    if SPANS not in arrays:
        return {name: torch.from_numpy(np.array(array.numpy())) for name, array in arrays.items()}
    names = [name for name in arrays if name != SPANS]
    weights = {}
    for name, (low, high) in zip(names, arrays[SPANS].numpy(), strict=True):
        levels = arrays[name].numpy().astype(np.float32)
        weights[name] = torch.from_numpy(np.array(levels * ((high - low) / 255) + low, dtype=np.float32))
    return weights


class ByteTransport:
    """In front of one of Flower's strategies: weights travel in bytes, both ways; the strategy sees numbers."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        small = encoded(decoded(arrays), "uint8")
        return super().configure_train(server_round, small, config, grid)  # type: ignore[misc,no-any-return]

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Any:
        received = list(replies)
        for reply in received:
            if reply.has_content():
                for name, arrays in list(reply.content.array_records.items()):
                    reply.content[name] = encoded(decoded(arrays), "float32")
        return super().aggregate_train(server_round, received)  # type: ignore[misc]
