"""The rate term: an estimate of the length of a code, and its proximal step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEP = 0.1
"""Step of the gradient descent on the rate, in levels."""
STEPS_AT_ONCE = 8
SHRINK = 0.9


def rate_of(places: Tensor) -> Tensor:
    r"""Return :math:`\sum_i \log_2(1 + |q_i - (q_{left} + q_{up})/2|)` of numbers on levels.

    The last two axes are rows and columns. What lies outside is level 0. A vector has no rows
    above: its left neighbour counts twice.
    """
    grid = places.reshape(-1, 1, *places.shape[-2:]) if places.ndim > 1 else places.reshape(1, 1, 1, -1)
    left = F.pad(grid, (1, 0))[..., :-1]
    up = F.pad(grid, (0, 0, 1, 0))[..., :-1, :] if grid.shape[-2] > 1 else left
    return torch.log2(1 + (grid - (left + up) / 2).abs()).sum()


def lower_rate(
    parameters: Sequence[nn.Parameter],
    places: Callable[[], list[Tensor]],
    widths: Sequence[Tensor | float],
    most: Tensor | float,
    rounds: int = STEPS_AT_ONCE,
) -> bool:
    """Move parameters down the gradient of their rate until it is at most ``most``.

    Args:
        parameters: what is moved.
        places: returns them on levels, as a function of them that has gradients.
        widths: of one level, in the unit of each parameter.
        most: the rate that is allowed.
        rounds: most steps.

    Returns:
        Whether the rate is at most ``most`` now.
    """
    for _ in range(rounds):
        with torch.enable_grad():
            rate = torch.stack([rate_of(p) for p in places()]).sum()
        if float(rate.detach()) <= float(most):
            return True
        gradients = torch.autograd.grad(rate, list(parameters))
        with torch.no_grad():
            for parameter, gradient, width in zip(parameters, gradients, widths, strict=True):
                # By places the gradient is this times the width of a level.
                parameter.sub_(STEP * width * width * gradient)
    return False
