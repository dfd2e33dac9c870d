"""`RealSignal`: everything that a run may ask of real data. It alone holds the target data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

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
    """Mean features of one group of classes, each class with the same weight.

    Attributes:
        classes: the group.
        mean: ``d`` numbers, without a graph.
        count: number of examples behind the mean.
    """

    classes: tuple[int, ...]
    mean: Tensor
    count: int


@dataclass(frozen=True)
class Gradients:
    """The gradient of one group's mean loss with respect to some weights of a network.

    Attributes:
        classes: the group.
        tensors: one per weight asked for, of its shape, without a graph.
        count: number of examples behind the mean.
        loss: the mean loss itself, a scalar without a graph; None where it is not told (a private signal releases gradients alone).
    """

    classes: tuple[int, ...]
    tensors: tuple[Tensor, ...]
    count: int
    loss: Tensor | None = None


class RealSignal(ABC):
    """What real data may tell a run. A private signal answers the same questions through its mechanism.

    Attributes:
        name: of the data.
        spec: declared-public facts.
        counts: training examples per class id.
    """

    name: str
    spec: Spec
    counts: Mapping[int, int]

    @abstractmethod
    def begin(self, run: Context) -> None:
        """Bind to a run: its device, precision and random numbers."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash that tells this data from other data; checkpoints hold it."""

    def record(self) -> dict[str, Any]:
        """Return entries for the records of this run's summaries: the data's hash here, a certificate in a private signal."""
        return {"data_sha256": self.fingerprint()}

    def exhausted(self) -> bool:
        """Whether no further question will be answered, so that the run ends with the steps it has."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs to go on (an accountant's history, say)."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of `state_dict`."""

    @abstractmethod
    def select(self, rule: CoresetRule, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Batch]:
        """Return, per class id, ``counts[class_id]`` normalised examples chosen by a coreset rule."""

    @abstractmethod
    def batch(self, classes: Sequence[int], count: Counts, purpose: str) -> Batch:
        """Return up to ``count`` random examples of each class, by class; drawn from (step, purpose, class)."""

    @abstractmethod
    def features(
        self, network: Network, groups: Sequence[Sequence[int]], views: Mapping[int, View], count: Counts
    ) -> Iterator[Features]:
        """Yield the mean of ``network.features`` over a random batch of each group of classes, when it is asked for.

        Classes of a group weigh the same, whatever their size.

        Args:
            network: whose features are meant.
            groups: class ids; ``[[0], [1], ...]`` for per-class means, ``[[0, 1, ...]]`` for a joint one.
            views: one per class id, applied to its examples.
            count: examples drawn per class, one number for all or one each; a class that has fewer gives all it has.
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
        r"""Yield :math:`\nabla_\theta \frac1{|g|} \sum_{c \in g} \frac1{n_c} \sum_{i \in c} \ell(x_i, y_i; \theta)` of each group :math:`g`.

        Classes of a group weigh the same, whatever their size. Groups are computed when they are asked for, on the network
        of the moment: a caller may change it between two groups.

        Args:
            network: what is differentiated.
            groups: as in `features`.
            views: as in `features`.
            count: as in `features`.
            weights: names of the weights (``network.module.named_parameters()``) whose gradient is wanted.
            loss: a name in ``ddcore.training.LOSSES``.
        """
