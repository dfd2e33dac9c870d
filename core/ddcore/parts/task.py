"""`Task`: what a network learns from examples, and how well it has learned it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.settings import require


class Task(ABC):
    """Settings of a task.

    Attributes:
        score: name of the main score, by which weights are kept. Reports show it.
        numeric: whether targets are numbers, ``n x outputs``, instead of class ids.
    """

    name: ClassVar[str]
    numeric: ClassVar[bool]

    @property
    @abstractmethod
    def score(self) -> str:
        """Name of the main score."""

    @abstractmethod
    def loss(self, wanted: str) -> str:
        """Return the name of the loss that networks minimise.

        Args:
            wanted: name of the loss that a part asks for. A task may need another one.
        """

    @abstractmethod
    def class_ids(self, targets: Tensor) -> Tensor:
        """Return the class id of each example, int64. A task without classes says 0 for all."""

    def measured(self, outputs: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return what `scores` needs of some examples' outputs, a row for each.

        It is asked for lot by lot, so that outputs need not be kept. Here it is the outputs.

        Args:
            outputs: ``n x outputs``, on the CPU.
            inputs: as they were given, not normalised.
            targets: of the same examples.
        """
        return outputs

    @abstractmethod
    def scores(self, measured: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the scores by name, the main one first.

        Shares are in percent. A score that is not defined for these targets is left out.

        Args:
            measured: what `measured` returned of all examples, on the CPU.
            targets: of the same examples, on the CPU.
        """

    def main_score(self, measured: Tensor, targets: Tensor) -> float:
        """Return the main score alone."""
        return self.scores(measured, targets)[self.score]


@dataclass(frozen=True)
class Classification(Task):
    """Every example is of one of several classes.

    Attributes:
        by: the main score, ``accuracy`` or ``roc_auc``.

    The scores are the accuracy, the mean F1 of the classes, and the area under the ROC curve.
    That area is the mean over classes of one class against the rest. It is left out where a class
    is missing among the targets.
    """

    by: str = "accuracy"
    name: ClassVar[str] = "classification"
    numeric: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self.by in ("accuracy", "roc_auc"), f"classes are scored by accuracy or roc_auc, not {self.by!r}")

    @property
    def score(self) -> str:
        return self.by

    def loss(self, wanted: str) -> str:
        return wanted

    def class_ids(self, targets: Tensor) -> Tensor:
        return targets

    def scores(self, measured: Tensor, targets: Tensor) -> dict[str, float]:
        macro_f1 = 100.0 * _macro_f1(measured.argmax(dim=1), targets)
        found = {"accuracy": accuracy(measured, targets), "macro_f1": macro_f1}
        if len(targets.unique()) == measured.shape[1] > 1 and bool(torch.isfinite(measured).all()):
            found["roc_auc"] = 100.0 * _roc_auc(measured.double().softmax(dim=1), targets)
        if self.by not in found:
            raise InputDataError(
                "a split lacks a class, or outputs are not finite: there is no area under the ROC curve"
            )
        return {self.by: found.pop(self.by), **found}

    def main_score(self, measured: Tensor, targets: Tensor) -> float:
        if self.by == "accuracy":
            return accuracy(measured, targets)  # it is wanted after every update
        return super().main_score(measured, targets)


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Return how many outputs are largest at their class, in percent.

    Args:
        outputs: ``n x num_classes``, logits or probabilities.
        targets: n class ids.
    """
    return 100.0 * float((outputs.argmax(dim=1) == targets).double().mean())


def _macro_f1(guesses: Tensor, targets: Tensor) -> float:
    """Return the mean F1 of the classes among guesses or targets. 0 / 0 counts as 0."""
    size = int(torch.cat([guesses, targets]).max()) + 1
    hits = torch.bincount(targets[guesses == targets], minlength=size).double()
    named = (torch.bincount(guesses, minlength=size) + torch.bincount(targets, minlength=size)).double()
    return float((2 * hits[named > 0] / named[named > 0]).mean())


def _roc_auc(shares: Tensor, targets: Tensor) -> float:
    from sklearn.metrics import roc_auc_score

    scores = shares[:, 1] if shares.shape[1] == 2 else shares
    return float(roc_auc_score(targets.numpy(), scores.numpy(), multi_class="ovr"))


@dataclass(frozen=True)
class Regression(Task):
    r"""Targets are standardised numbers.

    The scores are :math:`R^2` and the root of the mean squared error.

    .. math:: R^2 = 1 - \frac{\sum_i (y_i - \hat y_i)^2}{\sum_i (y_i - \bar y)^2}

    There are no classes. All examples count as class 0.

    Attributes:
        scale: standard deviation of the target as it was given. The root of the mean squared
            error is multiplied by it.
    """

    scale: float = 1.0
    name: ClassVar[str] = "regression"
    numeric: ClassVar[bool] = True

    @property
    def score(self) -> str:
        return "r2"

    def loss(self, wanted: str) -> str:
        return "squared_error"

    def class_ids(self, targets: Tensor) -> Tensor:
        return torch.zeros(len(targets), dtype=torch.int64, device=targets.device)

    def scores(self, measured: Tensor, targets: Tensor) -> dict[str, float]:
        errors = (measured.double() - targets.double()).square()
        spread = (targets.double() - targets.double().mean(dim=0)).square().sum()
        found = {"rmse": self.scale * float(errors.mean().sqrt())}
        if not float(spread) > 0:  # as scikit-learn has it
            return {"r2": 1.0 if float(errors.sum()) == 0 else 0.0, **found}
        return {"r2": 1.0 - float(errors.sum() / spread), **found}
