"""A small image generator: latent vectors in, pixels out."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Generator(nn.Module):
    """Linear, then twice [upsample by 2, 3 x 3 convolution, leaky ReLU], then a 3 x 3 convolution and a sigmoid.

    Args:
        shape: of an image, ``(channels, height, width)``.
        latent: length of a latent vector.
        width: channels.
    """

    def __init__(self, shape: tuple[int, ...], latent: int, width: int) -> None:
        super().__init__()
        channels, self.height, self.width = shape
        self.rows, self.columns = -(-self.height // 4), -(-self.width // 4)
        self.channels = width
        self.start = nn.Linear(latent, width * self.rows * self.columns)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        """Map ``n x latent`` to pixels in [0, 1], ``n x channels x height x width``."""
        hidden = F.leaky_relu(self.start(latents), 0.2).view(-1, self.channels, self.rows, self.columns)
        for convolution in (self.first, self.second):
            hidden = F.leaky_relu(convolution(F.interpolate(hidden, scale_factor=2)), 0.2)
        pixels: Tensor = self.last(hidden).sigmoid()
        return pixels[:, :, : self.height, : self.width]


def frozen(module: nn.Module) -> nn.Module:
    """Turn all parameters of ``module`` into buffers, in place: it moves with its owner and is never optimised."""
    module.eval()
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach())
    return module
