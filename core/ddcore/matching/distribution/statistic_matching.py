"""Matching the statistics that a teacher's BatchNorms keep: the loss of SRe2L."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ddcore.errors import TeacherError, UnsupportedError
from ddcore.matching.synthetic import rank_by_rank
from ddcore.parts import LOSSES, Matching, MatchingState, Network, Run, Term
from ddcore.settings import require, require_counts


@dataclass(frozen=True)
class StatisticMatching(Matching):
    r"""Synthetic batches are taken for their labels, and look to a teacher as its data did.

    A teacher :math:`f` has kept a mean :math:`\hat\mu_l` and a variance :math:`\hat\sigma^2_l` of
    each channel before its l-th BatchNorm. Of a batch :math:`S` they are :math:`\mu_l, \sigma^2_l`,
    taken over examples and places. The loss is

    .. math:: \frac1{|S|} \sum_{(x, y) \in S} \mathrm{CE}(f(x), y) + \alpha \sum_l w_l \big(
       \|\mu_l - \hat\mu_l\|_2 + \|\sigma^2_l - \hat\sigma^2_l\|_2 \big)

    with :math:`w_l = 1` but for the first BatchNorm, where it is ``first``. A batch has one view.
    No real example is asked for: what is known of them is in the teacher.

    Attributes:
        weight: :math:`\alpha`.
        first: :math:`w_1`.
        batch_size: examples per batch. The first of every class come first, then the second ones.

    Source: Yin et al. 2023 (arXiv:2306.13092), equations 6 to 8; DeepInversion, Yin et al. 2020
    (arXiv:1912.08795), equation 4.
    """

    weight: float = 0.01
    first: float = 10.0
    batch_size: int = 100
    family: ClassVar[str] = "distribution"
    trains_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_counts(batch_size=self.batch_size)
        require(self.weight >= 0 and self.first >= 0, "weights must not be negative")

    def start(self, run: Run) -> MatchingState:
        if run.spec.task.numeric:
            raise UnsupportedError("a teacher's classes are matched; the targets here are numbers")
        for network in run.networks.current():
            norms_of(network)
        return MatchingState()

    def asks(self) -> frozenset[str]:
        return frozenset()

    def terms(self, run: Run, state: MatchingState) -> Iterator[Term]:
        (network,) = run.networks.current()
        norms = norms_of(network)
        augmentation = run.augmentation.at(run.step / max(run.steps - 1, 1))
        batches = rank_by_rank(run.examples).split(self.batch_size)
        for number, indices in enumerate(batches):
            view = augmentation.draw(run.generator("view", number))
            batch = view(run.examples.decode(indices, run.generator("decode", number)))
            with network.differentiated(), Statistics(norms) as statistics, run.autocast():
                logits = network(batch.inputs)
                labelled = LOSSES["cross_entropy"](logits, batch.targets).mean()
            weights = [self.first] + [1.0] * (len(norms) - 1)
            apart = [w * d for w, d in zip(weights, statistics.distances(), strict=True)]
            yield Term(labelled + self.weight * torch.stack(apart).sum())


class Statistics:
    """Inside the block, the batch statistics before every BatchNorm are kept.

    Args:
        norms: in the order in which they run. Each runs once.
    """

    def __init__(self, norms: list[_BatchNorm]) -> None:
        self._norms = norms
        self._seen: dict[_BatchNorm, tuple[Tensor, Tensor]] = {}

    def __enter__(self) -> Statistics:
        self._handles = [norm.register_forward_pre_hook(self._look) for norm in self._norms]
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _look(self, norm: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, _BatchNorm) and norm.running_mean is not None
        given = inputs[0].to(norm.running_mean.dtype)
        rest = [0, *range(2, given.ndim)]
        self._seen[norm] = (given.mean(rest), given.var(rest, unbiased=False))

    def distances(self) -> list[Tensor]:
        """Return, per BatchNorm, the distance of means plus that of variances."""
        found = []
        for norm in self._norms:
            mean, variance = self._seen[norm]
            assert norm.running_mean is not None and norm.running_var is not None
            found.append((mean - norm.running_mean).norm() + (variance - norm.running_var).norm())
        return found


def norms_of(network: Network) -> list[_BatchNorm]:
    """Return the BatchNorms of a network that keep statistics.

    Raises:
        TeacherError: there are none.
    """
    norms = [m for m in network.module.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    if not norms:
        raise TeacherError(
            "this teacher has no BatchNorm whose statistics could be matched: train one with "
            "--network 'convnet(norm=batch)'"
        )
    return norms
