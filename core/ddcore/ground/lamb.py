"""LAMB: Adam whose step is as long as the tensor that it moves, times the learning rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Lamb(torch.optim.Optimizer):
    r"""Move each tensor :math:`x` by :math:`-\eta\, \|x\| u / \|u\|`; :math:`u` is Adam's update.

    .. math:: u = \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    Where :math:`\|x\|` or :math:`\|u\|` is zero, the step is :math:`-\eta u`. This is the form of
    optax: moments are corrected for their start, and :math:`\|x\|` has no upper limit. Packages for
    torch cut it off at 10. That step is fifty times too short for a hundred images of CIFAR-10.

    Args:
        params: tensors, or groups of them.
        lr: :math:`\eta`.
        betas: :math:`\beta_1, \beta_2`.
        eps: :math:`\epsilon`.

    Source: You et al. 2020 (arXiv:1904.00962), algorithm 2, without weight decay.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step; a closure is not asked."""
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state.update(step=0, m=torch.zeros_like(parameter), v=torch.zeros_like(parameter))
                state["step"] += 1
                state["m"].lerp_(parameter.grad, 1 - first)
                state["v"].lerp_(parameter.grad.square(), 1 - second)
                root = (state["v"] / (1 - second ** state["step"])).sqrt() + group["eps"]
                update = state["m"] / (1 - first ** state["step"]) / root
                length, reach = parameter.norm(), update.norm()
                ratio = torch.where((length > 0) & (reach > 0), length / reach, 1.0)
                parameter.sub_(group["lr"] * ratio * update)
