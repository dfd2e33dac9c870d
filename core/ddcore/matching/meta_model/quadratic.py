"""Minimising a quadratic function whose matrix is known by its products alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]

FALLS, RISES, NEITHER = 1, -1, 0
"""Verdicts on a descent: it falls with every step; it ends above its start; neither."""


def conjugate_gradients(product: Product, right: Tensor, steps: int, tolerance: float = 0.0) -> Tensor:
    r"""Return :math:`x` with :math:`Hx = g` after at most ``steps`` steps from zero.

    Args:
        product: :math:`x \mapsto Hx`, of a symmetric positive definite :math:`H`.
        right: :math:`g`, a vector.
        steps: each costs one product.
        tolerance: on a processor it ends where :math:`\|Hx - g\| \le` this share of
            :math:`\|g\|`. On other devices, where a look at the residual makes the host wait, it
            takes all steps.
    """
    x, residual = torch.zeros_like(right), right.clone()
    direction, size = residual.clone(), residual.dot(residual)
    first, looks, tiny = size, right.device.type == "cpu", torch.finfo(right.dtype).tiny
    for _ in range(steps):
        if looks and float(size) <= tolerance**2 * float(first):
            break
        moved = product(direction)
        step = size / direction.dot(moved).clamp_min(tiny)
        x.add_(step * direction)
        residual.sub_(step * moved)
        before, size = size, residual.dot(residual)
        direction = residual + size / before.clamp_min(tiny) * direction
    return x


def adam_descent(product: Product, right: Tensor, steps: int, rate: float) -> tuple[Tensor, int]:
    r"""Return :math:`x` after ``steps`` steps of Adam on :math:`\frac12 x^\top H x - g^\top x`.

    It starts at zero. The second value is the verdict on the function's values before each step.
    """
    x = torch.zeros_like(right).requires_grad_()
    optimiser = torch.optim.Adam([x], lr=rate)
    values = []
    for _ in range(steps):
        moved = product(x.detach())
        values.append(float(x.detach().dot(0.5 * moved - right)))
        x.grad = moved - right
        optimiser.step()
    if all(later < earlier for earlier, later in pairwise(values)):
        return x.detach(), FALLS
    return x.detach(), RISES if values[-1] > values[0] else NEITHER
