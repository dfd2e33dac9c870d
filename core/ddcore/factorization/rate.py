"""The rate: an estimate of the length of a code, and the filter that lowers it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def rate_of(places: Tensor) -> Tensor:
    r"""Return :math:`\sum_i \log_2(1 + |q_i - (q_{left} + q_{up})/2|)` of numbers on levels.

    The last two axes are rows and columns. What lies outside is level 0. A vector has no rows
    above: its left neighbour counts twice.
    """
    grid = places.reshape(-1, 1, *places.shape[-2:]) if places.ndim > 1 else places.reshape(1, 1, 1, -1)
    left = F.pad(grid, (1, 0))[..., :-1]
    up = F.pad(grid, (0, 0, 1, 0))[..., :-1, :] if grid.shape[-2] > 1 else left
    return torch.log2(1 + (grid - (left + up) / 2).abs()).sum()


def smoothed(planes: Tensor, passes: float) -> Tensor:
    """Return planes after so many passes of the filter (1, 2, 1)/4 along rows and along columns.

    The part of a pass mixes what is before it and after it. What lies outside is as the border.

    Args:
        planes: the last two axes are rows and columns.
        passes: at least 0.
    """
    grid = planes.reshape(-1, 1, *planes.shape[-2:])
    whole = int(passes)
    for share in (*(1.0 for _ in range(whole)), passes - whole):
        if share > 0:
            grid = grid.lerp(_filtered(grid), share)
    return grid.reshape(planes.shape)


def _filtered(grid: Tensor) -> Tensor:
    weights = torch.tensor([0.25, 0.5, 0.25], dtype=grid.dtype, device=grid.device)
    rows = F.conv2d(F.pad(grid, (1, 1, 0, 0), mode="replicate"), weights.view(1, 1, 1, 3))
    return F.conv2d(F.pad(rows, (0, 0, 1, 1), mode="replicate"), weights.view(1, 1, 3, 1))
