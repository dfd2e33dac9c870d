"""The ConvNet of the field (Gidaris & Komodakis 2018)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from ddcore.errors import SettingsError, UnknownNameError
from ddcore.images.networks import layers
from ddcore.parts import Architecture
from ddcore.settings import require, require_counts


@dataclass(frozen=True)
class ConvNet(Architecture):
    """``depth`` blocks, then one linear layer.

    A block is [3 x 3 convolution, norm, activation, 2 x 2 pooling].

    A grey image of 28 pixels is padded to 32 by the first convolution, unless ``pad_grey`` is off.

    Attributes:
        width: channels of every block.
        depth: number of blocks; None: 2 up to 16 pixels, 3 up to 32, 4 at 64.
        norm: ``instance``, ``batch``, ``layer``, ``group``, ``none``.
        activation: ``relu``, ``leaky_relu``, ``sigmoid``, ``swish``, ``softplus``
            (60 times as steep).
        pooling: ``avg``, ``max``, ``none``.
        widening: what the width is multiplied by from one block to the next.
        init: ``uniform``: as torch draws weights. ``he``: weights are normal, of variance
            2 / fan-in, biases of deviation .1. ``lecun``: weights are normal, of variance
            1 / fan-in, cut off at two deviations; biases are zero.
        pad_grey: whether a grey image of 28 pixels becomes one of 32.
    """

    width: int = 128
    depth: int | None = None
    norm: str = "instance"
    activation: str = "relu"
    pooling: str = "avg"
    widening: int = 1
    init: str = "uniform"
    pad_grey: bool = True
    name: ClassVar[str] = "convnet"
    modality: ClassVar[str | None] = "images"

    def __post_init__(self) -> None:
        require(self.width > 0, f"width must be positive, not {self.width}")
        require_counts(widening=self.widening)
        if self.init not in layers.INITS:
            raise UnknownNameError("init", self.init, layers.INITS)
        require(self.depth is None or self.depth > 0, f"depth must be positive, not {self.depth}")

    def depth_for(self, side: int) -> int:
        """Return the number of blocks for images of this side."""
        return self.depth or max(2, round(math.log2(side)) - 2)

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        channels, side = shape[0], min(shape[1:])
        padded = 3 if self.pad_grey and channels == 1 and side == 28 else 1
        depth = self.depth_for(side)
        smallest = side + 2 * (padded - 1)
        if self.pooling != "none" and smallest >> depth < 1:
            raise SettingsError(
                f"images of {side} px cannot be halved {depth} times: use depth <= {int(math.log2(smallest))} or pooling 'none'"
            )
        blocks: list[nn.Module] = []
        width = self.width
        for i in range(depth):
            blocks += [
                nn.Conv2d(channels, width, 3, padding=padded if i == 0 else 1),
                layers.norm(self.norm, width),
                layers.activation(self.activation),
                layers.pooling(self.pooling),
            ]
            channels, width = width, width * self.widening
        features = nn.Sequential(*blocks, nn.Flatten())
        module = nn.Sequential(features, nn.Linear(layers.flat_size(features, shape), num_classes))
        layers.INITS[self.init](module)
        return module
