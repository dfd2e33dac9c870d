"""A space of eight tiny networks, and few digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

import ddcore as dd
from ddapps.nas import SearchSpace
from ddcore.evaluation import Protocol
from ddcore.images import ConvNet
from ddcore.training import Training

SHORT = Protocol("short", Training(epochs=3, learning_rate=0.05, batch_size=20))


@dataclass(frozen=True)
class Tiny(SearchSpace):
    """Networks for 8 px; those of a failing norm cannot be built."""

    failing: str = ""
    name: ClassVar[str] = "tiny"

    def values(self) -> dict[str, tuple[Any, ...]]:
        return {"width": (4, 8), "norm": ("instance", "none"), "pooling": ("avg", "max")}

    def build(self, choices: Any, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        if choices["norm"] == self.failing:
            raise RuntimeError("this one crashes")
        return ConvNet(depth=1, **choices).module(shape, num_classes)


@pytest.fixture(scope="session")
def digits() -> dd.TargetData:
    """150 training, 40 validation and all test examples."""
    whole = dd.load_data("digits")
    return whole.with_train(torch.arange(190), "digits").with_validation(40 / 190)


@pytest.fixture(scope="session")
def summary(digits: dd.TargetData) -> dd.DataSummary:
    return dd.distill(digits, dd.methods.random(ipc=4))
