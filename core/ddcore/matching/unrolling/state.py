"""Step sizes while a run lives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ddcore.matching.unrolling.step_sizes import StepSizes, require_positive
from ddcore.parts import MatchingState, Run


class StepSizeState(MatchingState):
    """The step sizes of inner training. Learned ones are the parameter group ``step_sizes``."""

    def __init__(self, settings: StepSizes, steps: int, run: Run) -> None:
        self._settings, self._steps, self._run = settings, steps, run
        self._learned = settings.parameter(steps, run.dtype, run.device)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {} if self._learned is None else {"step_sizes": [self._learned]}

    def rates(self, like: Tensor) -> Tensor:
        """Return the step sizes; on a CPU they are checked (a GPU would have to wait)."""
        rates = self._settings.values(self._learned, self._steps, like)
        if rates.device.type == "cpu":
            require_positive(rates)
        return rates

    def numbers(self) -> tuple[float, ...]:
        """Return the step sizes as numbers, all of them positive."""
        with torch.no_grad():
            rates = self._settings.values(self._learned, self._steps, torch.zeros((), dtype=torch.float64))
        require_positive(rates)
        return tuple(rates.float().tolist())

    def state_dict(self) -> dict[str, Any]:
        return {} if self._learned is None else {"step_sizes": self._learned.detach().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._learned is not None:
            with torch.no_grad():
                self._learned.copy_(state["step_sizes"])
