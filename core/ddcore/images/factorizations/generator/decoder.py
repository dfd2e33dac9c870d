"""A small image generator: latent vectors in, pixels out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Generator(nn.Module):
    """Linear, two upsampling blocks, then a 3 x 3 convolution and a sigmoid.

    A block is [upsample by 2, 3 x 3 convolution, leaky ReLU].

    Args:
        shape: of an image, ``(channels, height, width)``.
        latent: length of a latent vector.
        width: channels.
        classes: how many class ids it is told, as one-hot numbers beside the latent. 0: it is not
            told the class.
    """

    def __init__(self, shape: tuple[int, ...], latent: int, width: int, classes: int = 0) -> None:
        super().__init__()
        channels, self.height, self.width = shape
        self.rows, self.columns = -(-self.height // 4), -(-self.width // 4)
        self.channels, self.classes = width, classes
        self.start = nn.Linear(latent + classes, width * self.rows * self.columns)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, latents: Tensor, owners: Tensor | None = None) -> Tensor:
        """Map ``n x latent`` to pixels in [0, 1], ``n x channels x height x width``.

        Class ids ``n`` are needed where it is told them.
        """
        if self.classes and owners is not None:
            latents = torch.cat([latents, F.one_hot(owners, self.classes).to(latents.dtype)], dim=1)
        hidden = F.leaky_relu(self.start(latents), 0.2).view(-1, self.channels, self.rows, self.columns)
        for convolution in (self.first, self.second):
            hidden = F.leaky_relu(convolution(F.interpolate(hidden, scale_factor=2)), 0.2)
        pixels: Tensor = self.last(hidden).sigmoid()
        return pixels[:, :, : self.height, : self.width]
