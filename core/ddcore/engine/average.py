"""The running mean of stored parameters over the steps of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class Average:
    r"""After every step, :math:`m \leftarrow d\,m + (1 - d)\,x` for each parameter :math:`x`.

    It starts at the first values.

    Args:
        parameters: of the examples.
        decay: :math:`d`. With 0 nothing is kept, and the mean is the parameter itself.
    """

    def __init__(self, parameters: Sequence[Tensor], decay: float) -> None:
        self._parameters, self._decay = list(parameters), decay
        self._means = [p.detach().clone() for p in parameters] if decay else []

    def update(self) -> None:
        """Take in the parameters of a step."""
        with torch.no_grad():
            for mean, parameter in zip(self._means, self._parameters, strict=False):
                mean.lerp_(parameter, 1 - self._decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the parameters are their means."""
        held = [p.detach().clone() for p in self._parameters[: len(self._means)]]
        self._copy(self._means)
        try:
            yield
        finally:
            self._copy(held)

    def _copy(self, values: Sequence[Tensor]) -> None:
        with torch.no_grad():
            for parameter, value in zip(self._parameters, values, strict=False):
                parameter.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"means": self._means}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of `state_dict`."""
        for mean, saved in zip(self._means, state["means"], strict=True):
            mean.copy_(saved)
