"""The step sizes of inner training: fixed, or learned with the examples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.errors import NumericalError, UnknownNameError
from ddcore.settings import require

LEARNED = ("fixed", "shared", "per_step")


@dataclass(frozen=True)
class StepSizes:
    """Settings of the step sizes.

    Attributes:
        initial: the first value of all of them.
        learned: ``fixed``, ``shared`` (one learned number for all steps) or ``per_step``.
        positive: learned through a softplus, so that none can turn negative.
        floor: a learned step size is set back to this where an update left it below. None: none is.
    """

    initial: float = 0.01
    learned: str = "fixed"
    positive: bool = False
    floor: float | None = None

    def __post_init__(self) -> None:
        if self.learned not in LEARNED:
            raise UnknownNameError("kind of step sizes", self.learned, LEARNED)
        require(0 < self.initial < float("inf"), f"a step size must be positive and finite, not {self.initial}")
        require(
            self.floor is None or (not self.positive and 0 < self.floor <= self.initial),
            f"a floor lies in (0, {self.initial}], the first step size, and goes without a softplus: it is {self.floor}",
        )

    def parameter(self, steps: int, dtype: torch.dtype, device: torch.device) -> nn.Parameter | None:
        """Return what is learned, or None."""
        if self.learned == "fixed":
            return None
        raw = torch.full((steps if self.learned == "per_step" else 1,), self.initial, dtype=torch.float64)
        if self.positive:
            raw = raw + torch.log(-torch.expm1(-raw))
        return nn.Parameter(raw.to(device, dtype))

    def values(self, learned: nn.Parameter | None, steps: int, like: Tensor) -> Tensor:
        """Return the step sizes, ``steps`` numbers of the type and device of ``like``.

        They are differentiable in what is learned.
        """
        if learned is None:
            return torch.full((steps,), self.initial, dtype=like.dtype, device=like.device)
        if self.floor is not None:
            with torch.no_grad():
                learned.clamp_(min=self.floor)
        values = F.softplus(learned) if self.positive else learned
        return values.expand(steps)


def require_positive(rates: Tensor) -> None:
    """Raise `NumericalError` if a step size is not positive."""
    lowest = float(rates.detach().min())
    if not lowest > 0:
        raise NumericalError(
            f"a learned step size of inner training turned to {lowest:.3g}: lower its own learning rate "
            "(optimiser.group_learning_rates.step_sizes), or learn it through a softplus (step_sizes.positive=true)"
        )
