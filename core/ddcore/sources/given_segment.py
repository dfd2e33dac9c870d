"""One segment of a training that the caller has run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ddcore.errors import SettingsError
from ddcore.parts import Network, Run, Segments, SegmentSource, find_head, plain_copy, weights_sha256


@dataclass(frozen=True)
class GivenSegment(SegmentSource):
    """Every step starts from the weights of one module, and aims at those of another.

    Attributes:
        start_module: has the weights before training.
        end_module: has the weights after it.
    """

    start_module: nn.Module
    end_module: nn.Module

    def __post_init__(self) -> None:
        shapes = [[tuple(w.shape) for w in module.parameters()] for module in (self.start_module, self.end_module)]
        if shapes[0] != shapes[1] or not shapes[0]:
            raise SettingsError("the two ends of a segment must be modules with the same weights in the same order")
        if not all(bool(torch.isfinite(w).all()) for w in self.end_module.parameters()):
            raise SettingsError("training has diverged: the segment's end holds NaN or infinity")

    def start(self, run: Run) -> Segments:
        return _GivenSegment(self, run)

    def describe(self) -> dict[str, Any]:
        """Record hashes of the two ends."""
        return {
            "type": "GivenSegment",
            "start": weights_sha256(self.start_module),
            "end": weights_sha256(self.end_module),
        }


class _GivenSegment(Segments):
    def __init__(self, settings: GivenSegment, run: Run) -> None:
        module = plain_copy(settings.start_module).to(run.device, run.dtype)
        self._network = Network(module, find_head(module, run.spec.shape, run.spec.num_classes))
        self._network.require_independent_examples()
        self._network.requires_grad_(False)
        self._network.eval()
        self._target = [w.detach().to(run.device, run.dtype) for w in settings.end_module.parameters()]

    def current(self) -> Sequence[Network]:
        return (self._network,)

    def target(self) -> list[Tensor]:
        return self._target

    def advance(self) -> None:
        self.episode += 1
