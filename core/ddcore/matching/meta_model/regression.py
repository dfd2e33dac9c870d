"""What regression on the synthetic examples shares: inputs, labels, the loss on real ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.errors import UnknownNameError, UnsupportedError
from ddcore.kernels import centred
from ddcore.parts import MatchingState, Recipe, Run, as_dense

OUTER_LOSSES = ("squared", "platt", "multinomial")


def check_loss(loss: str) -> None:
    """Raise `UnknownNameError` unless it is a name in ``OUTER_LOSSES``."""
    if loss not in OUTER_LOSSES:
        raise UnknownNameError("loss", loss, OUTER_LOSSES)


def regressed(run: Run, mirrored: bool) -> tuple[Any, Tensor]:
    """Return the synthetic inputs and labels, in float64.

    Labels are one-hot minus 1 / C unless they are soft. With ``mirrored`` every example stands
    there mirrored too, where such examples can be and keep their class.
    """
    synthetic = run.examples.decode(generator=run.generator("decode"))
    inputs, labels = synthetic.inputs, centred(synthetic.targets, run.spec.num_classes)
    also = run.spec.mirrored(inputs) if mirrored else None
    return (inputs, labels) if also is None else (torch.cat([inputs, also]), torch.cat([labels, labels]))


def label_margin(labels: Tensor, most: float) -> Tensor:
    """Return the mean difference of the two largest entries of a label, each at most ``most``."""
    first, second = labels.topk(2, dim=1).values.unbind(dim=1)
    return (first - second).clamp_max(most).mean()


class RegressionState(MatchingState):
    """Platt's scale while a run lives, where the loss has one: the parameter group ``platt``."""

    def __init__(self, loss: str, run: Run) -> None:
        if run.spec.task.numeric and loss == "platt":
            raise UnsupportedError(f"loss {loss!r} is about classes; the targets here are numbers: loss='squared'")
        for network in run.networks.current():
            network.require_independent_examples()
        self._loss = loss
        self._soft_labels = "labels" in run.examples.groups()
        zero = torch.zeros((), dtype=torch.float64, device=run.device)
        self._log_scale = nn.Parameter(zero) if loss == "platt" else None

    def loss_sum(self, predictions: Tensor, targets: Tensor, *, mean_over_classes: bool = False) -> Tensor:
        """Return the loss summed over examples. `KernelRegression` says what the losses are."""
        if self._log_scale is not None:
            return F.cross_entropy(self._log_scale.exp() * predictions, targets.argmax(dim=1), reduction="sum")
        if self._loss == "multinomial":
            return F.cross_entropy(predictions, as_dense(targets), reduction="sum")
        squared = 0.5 * (predictions - as_dense(targets)).square().sum()
        return squared / targets.shape[1] if mean_over_classes else squared

    def recipe(self) -> Recipe:
        """Return how to train on the summary: as on its labels."""
        return regression_recipe(self._soft_labels)

    def parameters(self) -> Sequence[nn.Parameter]:
        """Return what the loss has learned: Platt's scale, or nothing."""
        return [] if self._log_scale is None else [self._log_scale]

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {} if self._log_scale is None else {"platt": [self._log_scale]}

    def state_dict(self) -> dict[str, Any]:
        return {} if self._log_scale is None else {"platt": self._log_scale.detach().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._log_scale is not None:
            with torch.no_grad():
                self._log_scale.copy_(state["platt"])


def regression_recipe(soft_labels: bool) -> Recipe:
    """Return the recipe of a summary that was made by regression."""
    return Recipe("squared_error" if soft_labels else "cross_entropy")
