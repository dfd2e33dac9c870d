"""`RealSignal`: everything that a run may ask of real data.

Only a real signal holds the target data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ddcore.errors import UnsupportedError
from ddcore.parts.augmentation import View
from ddcore.parts.batch import Batch
from ddcore.parts.context import Context
from ddcore.parts.coreset_rule import CoresetRule
from ddcore.parts.network import Network
from ddcore.parts.spec import Spec

Counts = int | Mapping[int, int]
"""Examples per class: one number for all classes, or one for each class id."""


@dataclass(frozen=True)
class Features:
    """Mean features of one group of classes. Each class has the same weight.

    Attributes:
        classes: the group.
        mean: ``d`` numbers, without a graph.
        count: number of examples in the mean.
    """

    classes: tuple[int, ...]
    mean: Tensor
    count: int


@dataclass(frozen=True)
class Gradients:
    """The gradient of one group's mean loss by some weights of a network.

    Attributes:
        classes: the group.
        tensors: one per weight asked for, of its shape, without a graph.
        count: number of examples in the mean.
        loss: the mean loss itself, a scalar without a graph. None: a private signal does not
            release it.
    """

    classes: tuple[int, ...]
    tensors: tuple[Tensor, ...]
    count: int
    loss: Tensor | None = None


class RealSignal(ABC):
    """Answers a run's questions about real data.

    The exact signal answers with the data. A private one answers the same questions with noise.

    Attributes:
        name: of the data.
        spec: facts that are declared to be public.
        counts: training examples per class id.
    """

    name: str
    spec: Spec
    counts: Mapping[int, int]

    @abstractmethod
    def begin(self, run: Context) -> None:
        """Take up a run's device, precision and random numbers, before the first question."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash that tells this data from other data. Checkpoints hold it."""

    def record(self) -> dict[str, Any]:
        """Return entries for the records of this run's summaries.

        Here it is the data's hash. A private signal gives a certificate.
        """
        return {"data_sha256": self.fingerprint()}

    def exhausted(self) -> bool:
        """Whether no further question is answered. The run then ends with the steps it has."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, such as the history of an accountant."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of `state_dict`."""

    @abstractmethod
    def select(self, rule: CoresetRule, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Batch]:
        """Return, per class id, ``counts[class_id]`` normalised examples that the rule chooses."""

    def validate(self, predict: Callable[[Tensor], Tensor]) -> Mapping[str, float]:
        """Return the scores on validation data of a function from normalised inputs to outputs.

        Raises:
            UnsupportedError: this signal has no validation data that it may tell of.
            InputDataError: the data have no validation split.
        """
        raise UnsupportedError(f"{self.name}: this signal tells no scores on validation data")

    @abstractmethod
    def batch(self, classes: Sequence[int], count: Counts, purpose: str) -> Batch:
        """Return up to ``count`` random examples of each class, one class after the other.

        The draw of a class follows from (seed, purpose, step, class).
        """

    @abstractmethod
    def features(
        self, network: Network, groups: Sequence[Sequence[int]], views: Mapping[int, View], count: Counts
    ) -> Iterator[Features]:
        """Yield the mean of ``network.features`` over a random batch of each group of classes.

        A group is computed when its mean is asked for. Its classes weigh the same, whatever their
        sizes.

        Args:
            network: that makes the features.
            groups: class ids. ``[[0], [1], ...]`` asks for a mean of each class,
                ``[[0, 1, ...]]`` for one of all.
            views: one per class id, applied to the examples of that class.
            count: examples that are drawn per class. A class that has fewer gives all it has.
        """

    @abstractmethod
    def gradients(
        self,
        network: Network,
        groups: Sequence[Sequence[int]],
        views: Mapping[int, View],
        count: Counts,
        weights: Sequence[str],
        loss: str = "cross_entropy",
    ) -> Iterator[Gradients]:
        r"""Yield the gradient of the mean loss of each group of classes.

        .. math::
            \nabla_\theta \frac1{|g|} \sum_{c \in g} \frac1{n_c} \sum_{i \in c}
            \ell(x_i, y_i; \theta)

        Here g is the group, and :math:`n_c` the number of examples drawn of class c. Classes of a
        group weigh the same, whatever their sizes. A group is computed when its gradient is asked
        for, with the network's weights of that moment. So a caller may change them between two
        groups.

        Args:
            network: that is differentiated.
            groups: as in `features`.
            views: as in `features`.
            count: as in `features`.
            weights: names of the weights, as in ``network.module.named_parameters()``, whose
                gradient is wanted.
            loss: a name in ``ddcore.parts.LOSSES``.
        """
