"""`RealSignal`: everything that a run may ask of real data. It alone holds the target data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ddcore.batch import Batch, chunks, class_shares, concatenated
from ddcore.data.pool import Pool
from ddcore.data.spec import Spec
from ddcore.data.target import Split, TargetData
from ddcore.engine.devices import to_device
from ddcore.errors import InputDataError
from ddcore.training.recipe import LOSSES

if TYPE_CHECKING:
    from ddcore.augmentation import View
    from ddcore.coresets import CoresetRule
    from ddcore.networks import Network
    from ddcore.run import Run


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
    def begin(self, run: Run) -> None:
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
    def select(self, rule: CoresetRule, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Tensor]:
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


class ExactSignal(RealSignal):
    """The real data itself, on the run's device, as bytes until a batch needs them."""

    def __init__(self, target: TargetData) -> None:
        self.name = target.name
        self.spec = target.spec
        self.counts = target.counts()
        self._target = target
        self._split: Split = target.train
        self._run: Run | None = None
        self._sha256 = ""
        self._members = {c: (target.train.targets == c).nonzero().flatten() for c in target.spec.classes}

    def begin(self, run: Run) -> None:
        self._run = run
        train = self._target.train
        self._split = Split(train.inputs.to(run.device), train.targets.to(run.device))

    def fingerprint(self) -> str:
        self._sha256 = self._sha256 or self._target.fingerprint()
        return self._sha256

    def select(self, rule: CoresetRule, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Tensor]:
        run = self._bound()
        pool = Pool(self._target.train, self.spec, run.device)
        chosen = rule.select(pool, counts, generator)
        apply = self.spec.normalisation.apply
        return {c: apply(self._target.train.inputs[indices], run.dtype) for c, indices in chosen.items()}

    def batch(self, classes: Sequence[int], count: Counts, purpose: str) -> Batch:
        return self._fetch(torch.cat([self._draw(c, count, purpose) for c in classes]))

    def features(
        self, network: Network, groups: Sequence[Sequence[int]], views: Mapping[int, View], count: Counts
    ) -> Iterator[Features]:
        run = self._bound()
        for group in groups:
            drawn, sizes = self._drawn(group, count)
            totals: list[Tensor] = []
            with torch.no_grad():
                for chunk in chunks(drawn, run.micro_batch):
                    batch = self._view(chunk, views)  # in full precision, as the synthetic examples' view
                    with run.autocast():
                        part = network.features(batch.inputs)
                    totals.append(self._shares(chunk, sizes) @ part.to(run.dtype))
            yield Features(tuple(group), torch.stack(totals).sum(dim=0), sum(sizes.values()))

    def gradients(
        self,
        network: Network,
        groups: Sequence[Sequence[int]],
        views: Mapping[int, View],
        count: Counts,
        weights: Sequence[str],
        loss: str = "cross_entropy",
    ) -> Iterator[Gradients]:
        run, loss_of = self._bound(), LOSSES[loss]
        for group in groups:
            drawn, sizes = self._drawn(group, count)
            totals: list[Tensor] = []
            total_loss = torch.zeros((), dtype=run.dtype, device=run.device)
            with network.differentiated(weights) as differentiated:
                for chunk in chunks(drawn, run.gradient_micro_batch):
                    batch = self._view(chunk, views)
                    with run.autocast():
                        losses = loss_of(network.logits(batch.inputs), batch.targets).to(run.dtype)
                    mean = self._shares(chunk, sizes) @ losses
                    total_loss += mean.detach()
                    parts = torch.autograd.grad(mean, differentiated, allow_unused=True, materialize_grads=True)
                    totals = list(parts) if not totals else torch._foreach_add(totals, parts)  # type: ignore[assignment]
            yield Gradients(tuple(group), tuple(totals), sum(sizes.values()), total_loss)

    def _shares(self, chunk: Mapping[int, Tensor], sizes: Mapping[int, int]) -> Tensor:
        run = self._bound()
        return to_device(class_shares(chunk, sizes).to(run.dtype), run.device)

    def _drawn(self, group: Sequence[int], count: Counts) -> tuple[dict[int, Tensor], dict[int, int]]:
        """Return the drawn indices and the number of them, by class."""
        drawn = {c: self._draw(c, count, "real") for c in group}
        empty = [c for c, indices in drawn.items() if not len(indices)]
        if empty:
            raise InputDataError(f"{self.name}: class {empty[0]} has no example; leave it out of ipc")
        return drawn, {c: len(indices) for c, indices in drawn.items()}

    def _view(self, chunk: Mapping[int, Tensor], views: Mapping[int, View]) -> Batch:
        return concatenated([views[c](self._fetch(indices)) for c, indices in chunk.items()])

    def _bound(self) -> Run:
        if self._run is None:
            raise InputDataError("this signal is not bound to a run: distill() does that")
        return self._run

    def _draw(self, class_id: int, count: Counts, purpose: str) -> Tensor:
        members, wanted = self._members[class_id], count if isinstance(count, int) else count[class_id]
        return members[torch.randperm(len(members), generator=self._bound().generator(purpose, class_id))[:wanted]]

    def _fetch(self, indices: Tensor) -> Batch:
        run = self._bound()
        where = indices if run.device.type == "cpu" else indices.pin_memory().to(run.device, non_blocking=True)
        inputs = self.spec.normalisation.apply(self._split.inputs[where], run.dtype)
        return Batch(inputs, self._split.targets[where])
