"""ResNet-18 in its variant for small images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from ddcore.images.networks import layers
from ddcore.parts import Architecture


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with norms and a shortcut (He et al. 2016, basic block)."""

    def __init__(self, before: int, after: int, stride: int, norm: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.norm1 = layers.norm(norm, after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = layers.norm(norm, after)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=stride, bias=False), layers.norm(norm, after)
            )

    def forward(self, images: Tensor) -> Tensor:
        """Map ``n x before x h x w`` to ``n x after x h/stride x w/stride``."""
        out = F.relu(self.norm1(self.conv1(images)))
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(images))


@dataclass(frozen=True)
class ResNet18(Architecture):
    """A 3 x 3 stem without pooling, four stages of two blocks, global mean, one linear layer.

    The field evaluates with instance norm instead of batch norm. A stride that would leave one
    pixel is left out. A norm over one pixel gives zero.
    """

    norm: str = "instance"
    name: ClassVar[str] = "resnet18"
    modality: ClassVar[str | None] = "images"

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        side = min(shape[1:])
        parts: list[nn.Module] = [
            nn.Conv2d(shape[0], 64, 3, padding=1, bias=False),
            layers.norm(self.norm, 64),
            nn.ReLU(),
        ]
        before = 64
        for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            stride = stride if side >= 4 else 1
            side = (side + stride - 1) // stride
            parts += [
                ResidualBlock(before, width, stride, self.norm),
                ResidualBlock(width, width, 1, self.norm),
            ]
            before = width
        return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))
