"""The exact gradient through gradient descent in constant memory.

It goes forward without a graph, then sweeps back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Tensors = list[Tensor]


@dataclass(frozen=True)
class Descent:
    """What a sweep must know of the steps; see `unroll`.

    Attributes:
        loss_at: loss of step ``t`` at some weights.
        momentum: of the steps.
        snapshot_every: which states are kept.
        exact: whether the gradient also follows how each step's weights depend on the steps before.
    """

    loss_at: Callable[[int, Sequence[Tensor]], Tensor]
    momentum: float
    snapshot_every: int
    exact: bool

    def gradient(self, t: int, weights: Sequence[Tensor], *, differentiable: bool) -> tuple[Tensors, Tensors]:
        """Return the weights as leaves of a new graph, and the loss's gradient there."""
        with torch.enable_grad():
            leaves = [w.detach().requires_grad_() for w in weights]
            loss = self.loss_at(t, leaves)
            gradients = torch.autograd.grad(
                loss, leaves, create_graph=differentiable, allow_unused=True, materialize_grads=True
            )
        return leaves, list(gradients)

    def step(self, t: int, rate: Tensor, weights: Tensors, velocity: Tensors) -> tuple[Tensors, Tensors]:
        """Return weights and velocity after step ``t``."""
        _, gradients = self.gradient(t, weights, differentiable=False)
        velocity = [self.momentum * v + g for v, g in zip(velocity, gradients, strict=True)]
        return [w - rate * v for w, v in zip(weights, velocity, strict=True)], velocity


def reverse(descent: Descent, weights: Sequence[Tensor], rates: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    """Return the weights after the descent; see `unroll`."""
    return list(_Reverse.apply(descent, len(weights), rates, *weights, *leaves))


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, descent: Descent, count: int, rates: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        weights = [w.detach() for w in tensors[:count]]
        velocity = [torch.zeros_like(w) for w in weights]
        snapshots: dict[int, tuple[Tensors, Tensors]] = {}
        for t, rate in enumerate(rates.detach().unbind()):
            if t % descent.snapshot_every == 0:
                snapshots[t] = weights, velocity
            weights, velocity = descent.step(t, rate, weights, velocity)
        ctx.descent, ctx.count, ctx.rates, ctx.leaves = descent, count, rates.detach(), tensors[count:]
        ctx.snapshots = snapshots
        return tuple(weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *adjoints: Tensor) -> tuple[Tensor | None, ...]:
        descent: Descent = ctx.descent
        rates: Tensor = ctx.rates
        wanted = [leaf for leaf in ctx.leaves if leaf.requires_grad]
        of_weights = list(adjoints)
        of_velocity = [torch.zeros_like(a) for a in adjoints]
        of_rates = torch.zeros_like(rates)
        of_leaves = [torch.zeros_like(leaf) for leaf in wanted]
        for t, state, velocity in _backwards(descent, rates, ctx.snapshots):
            weights, gradients = descent.gradient(t, state, differentiable=True)
            moved = [descent.momentum * v + g.detach() for v, g in zip(velocity, gradients, strict=True)]
            of_rates[t] = -torch.stack([(a * v).sum() for a, v in zip(of_weights, moved, strict=True)]).sum()
            of_velocity = [n - rates[t] * a for n, a in zip(of_velocity, of_weights, strict=True)]
            inputs = [*weights, *wanted] if descent.exact else wanted
            products = iter(_products(gradients, inputs, of_velocity))
            if descent.exact:
                of_weights = [a + next(products) for a in of_weights]
            of_leaves = [leaf + product for leaf, product in zip(of_leaves, products, strict=True)]
            of_velocity = [descent.momentum * n for n in of_velocity]
        ctx.snapshots = None
        found = iter(of_leaves)
        return (
            None,
            None,
            of_rates,
            *of_weights,
            *(next(found) if leaf.requires_grad else None for leaf in ctx.leaves),
        )


def _backwards(
    descent: Descent, rates: Tensor, snapshots: dict[int, tuple[Tensors, Tensors]]
) -> Iterator[tuple[int, Tensors, Tensors]]:
    """Yield every step with the weights and velocity before it, from the last to the first.

    What lies behind is freed.
    """
    end = len(rates)
    for start in sorted(snapshots, reverse=True):
        states = [snapshots.pop(start)]
        for t in range(start, end - 1):
            states.append(descent.step(t, rates[t], *states[-1]))
        for t in range(end - 1, start - 1, -1):
            yield t, *states.pop()
        end = start


def _products(gradients: Sequence[Tensor], inputs: Sequence[Tensor], along: Sequence[Tensor]) -> Sequence[Tensor]:
    r"""Return :math:`\nabla \langle g, u \rangle` with respect to each input.

    It is zero where nothing depends on the input.
    """
    pairs = [(g, u) for g, u in zip(gradients, along, strict=True) if g.requires_grad]
    if not pairs or not inputs:
        return [torch.zeros_like(i) for i in inputs]
    outputs, directions = zip(*pairs, strict=True)
    return torch.autograd.grad(outputs, inputs, directions, allow_unused=True, materialize_grads=True)
