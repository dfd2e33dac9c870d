"""Gradient descent on a network's weights as a differentiable function of what it descends on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ddcore.errors import UnknownNameError
from ddcore.matching.unrolling.reverse import Descent, reverse
from ddcore.settings import require

Loss = Callable[[int, Sequence[Tensor]], Tensor]

GRADIENTS = ("reverse", "backprop", "truncated", "detached")


def unroll(
    loss_at: Loss,
    weights: Sequence[Tensor],
    rates: Tensor,
    leaves: Sequence[Tensor],
    *,
    gradient: str = "reverse",
    momentum: float = 0.0,
    window: int | None = None,
    snapshot_every: int = 1,
) -> list[Tensor]:
    r"""Return the weights after :math:`T` steps of descent.

    They are differentiable in rates, leaves and first weights.

    .. math:: v_{t+1} = \mu v_t + \nabla_w \ell_t(w_t, x), \qquad
       w_{t+1} = w_t - \alpha_t v_{t+1}, \qquad v_0 = 0

    Args:
        loss_at: :math:`\ell_t(w)` given ``t`` and the weights, as a scalar. It is asked again in
            the backward sweep and must answer the same. So whatever is random in it must follow
            from ``t``.
        weights: :math:`w_0`, any shapes.
        rates: :math:`\alpha`, ``T`` numbers; ``T`` is at least 1.
        leaves: every tensor :math:`x` that ``loss_at`` depends on and that wants a gradient.
        gradient: how the result is differentiated.
            ``reverse``: exactly, by a sweep from the last step to the first with one Hessian-vector
            product each. Nothing but weight vectors is kept of the steps. Once differentiable.
            ``backprop``: exactly, by keeping the graph of all steps.
            ``truncated``: by keeping the graph of the last ``window`` steps. What came before is
            taken as given.
            ``detached``: as ``reverse``, but each :math:`w_t` is taken as given, so that the
            Hessian is left out. The code of TESLA computes this.
        momentum: :math:`\mu`.
        window: of ``truncated``.
        snapshot_every: of ``reverse`` and ``detached``: which states are kept. Those in between are
            computed again, so that memory holds ``T / snapshot_every + snapshot_every`` states. 1
            keeps all and computes none again.

    Source: Maclaurin et al. 2015 (arXiv:1502.03492) and Deng & Russakovsky 2022 (arXiv:2206.02916)
    for the sweep; Cui et al. 2022 (arXiv:2211.10586) for ``detached``.
    """
    if gradient not in GRADIENTS:
        raise UnknownNameError("gradient", gradient, GRADIENTS)
    steps = len(rates)
    require(steps > 0, "training must be unrolled over at least 1 step, not 0")
    if gradient in ("reverse", "detached"):
        descent = Descent(loss_at, momentum, snapshot_every, exact=gradient == "reverse")
        return reverse(descent, weights, rates, leaves)
    velocity = [torch.zeros_like(w) for w in weights]
    state = list(weights)
    first_kept = steps - (window or steps) if gradient == "truncated" else 0
    for t, rate in enumerate(rates.unbind()):
        kept = t >= first_kept
        state = state if kept and any(w.requires_grad for w in state) else [w.detach().requires_grad_() for w in state]
        gradients = torch.autograd.grad(
            loss_at(t, state), state, create_graph=kept, allow_unused=True, materialize_grads=True
        )
        with torch.set_grad_enabled(kept):
            velocity = [momentum * v + g for v, g in zip(velocity, gradients, strict=True)]
            state = [w - rate * v for w, v in zip(state, velocity, strict=True)]
    return state
