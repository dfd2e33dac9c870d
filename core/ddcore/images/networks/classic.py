"""MLP, LeNet, AlexNet and VGG-11 as the distillation literature evaluates on them.

They take small images and use instance norm. Source: the architectures' papers; the variants follow
Zhao et al. 2021 (arXiv:2006.05929), appendix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from ddcore.images.networks import layers
from ddcore.parts import Architecture


def _classifier(features: nn.Module, shape: tuple[int, ...], hidden: tuple[int, ...], num_classes: int) -> nn.Module:
    sizes = (layers.flat_size(features, shape), *hidden)
    head: list[nn.Module] = []
    for before, after in zip(sizes, hidden, strict=False):
        head += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(features, *head, nn.Linear(sizes[-1], num_classes))


@dataclass(frozen=True)
class LeNet(Architecture):
    """Two 5 x 5 convolutions (6 and 16 channels) with max pooling, then 120 and 84 units.

    Small images are padded.
    """

    name: ClassVar[str] = "lenet"
    modality: ClassVar[str | None] = "images"

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        first, second = (0 if min(shape[1:]) >= 32 else 2), (0 if min(shape[1:]) >= 16 else 2)
        features = nn.Sequential(
            nn.Conv2d(shape[0], 6, 5, padding=first),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5, padding=second),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        return _classifier(features, shape, (120, 84), num_classes)


@dataclass(frozen=True)
class AlexNet(Architecture):
    """Five convolutions (128, 192, 256, 192, 192 channels), three max poolings, one linear layer.

    There is no norm and no dropout.
    """

    name: ClassVar[str] = "alexnet"
    modality: ClassVar[str | None] = "images"

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        features = nn.Sequential(
            nn.Conv2d(shape[0], 128, 5, padding=4 if shape[0] == 1 else 2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(128, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(192, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 192, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(192, 192, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        return _classifier(features, shape, (), num_classes)


@dataclass(frozen=True)
class VGG11(Architecture):
    """VGG-11's convolutions with a norm, one linear layer.

    A pooling that would leave one pixel for a later convolution is left out. A norm over one pixel
    gives zero.
    """

    norm: str = "instance"
    name: ClassVar[str] = "vgg11"
    modality: ClassVar[str | None] = "images"

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        channels, side = shape[0], min(shape[1:])
        padding = 3 if channels == 1 and side == 28 else 1
        side += 2 * (padding - 1)
        plan = ((64,), (128,), (256, 256), (512, 512), (512, 512))
        parts: list[nn.Module] = []
        for i, stage in enumerate(plan):
            for width in stage:
                parts += [nn.Conv2d(channels, width, 3, padding=padding), layers.norm(self.norm, width), nn.ReLU()]
                channels, padding = width, 1
            if side >= (2 if i == len(plan) - 1 else 4):
                parts.append(nn.MaxPool2d(2))
                side = math.floor(side / 2)
        return _classifier(nn.Sequential(*parts, nn.Flatten()), shape, (), num_classes)
