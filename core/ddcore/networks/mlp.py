"""The multilayer perceptron: it takes examples of any shape, flattened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import nn

from ddcore.parts import Architecture
from ddcore.settings import require


@dataclass(frozen=True)
class MLP(Architecture):
    """``depth`` hidden layers of ``width`` units with ReLU."""

    width: int = 128
    depth: int = 2
    name: ClassVar[str] = "mlp"

    def __post_init__(self) -> None:
        require(
            self.width > 0 and self.depth > 0, f"width and depth must be positive, not {self.width} and {self.depth}"
        )

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        sizes = (math.prod(shape), *(self.width,) * self.depth)
        hidden: list[nn.Module] = []
        for before, after in pairwise(sizes):
            hidden += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], num_classes))
