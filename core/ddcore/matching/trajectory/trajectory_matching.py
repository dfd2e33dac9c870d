"""Matching segments of expert trajectories: MTT, TESLA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.func import functional_call

from ddcore.errors import UnknownNameError, UnsupportedError
from ddcore.matching.unrolling.inner import InnerTraining, check_inner_settings
from ddcore.matching.unrolling.state import StepSizeState
from ddcore.matching.unrolling.step_sizes import StepSizes
from ddcore.matching.unrolling.unroll import unroll
from ddcore.parts import (
    Matching,
    MatchingState,
    NetworkSource,
    Recipe,
    Run,
    Segments,
    SegmentSource,
    Term,
    mixed_batches,
    step_batches,
)
from ddcore.settings import require_counts

LABELS = ("own", "assigned", "assigned_once")


@dataclass(frozen=True)
class TrajectoryMatching(Matching):
    r"""Training on synthetic examples from an expert's weights ends near its later weights.

    .. math:: \frac{\|w_N - \theta_{t+M}\|^2}{\|\theta_t - \theta_{t+M}\|^2}, \qquad
       w_0 = \theta_t, \quad
       w_{i+1} = w_i - \alpha \nabla \ell(S_i; w_i)

    Of the real data it needs nothing; its networks (``ExpertSegments``) were trained on it.

    Attributes:
        inner_steps: :math:`N`.
        synthetic_batch: examples of each class in one inner step, in a new order each time; None:
            all.
        synthetic_total: examples of all classes together in one inner step. They take the place of
            ``synthetic_batch``. None: ``synthetic_batch`` holds.
        step_sizes: :math:`\alpha`. Learned, it replaces the learning rate of training on the
            summary.
        gradient: ``reverse`` (exact, in constant memory), ``backprop``, ``truncated``, or
            ``detached`` (the published approximation of TESLA).
        window: of ``truncated``.
        snapshot_every: of ``reverse`` and ``detached``.
        augment: whether inner training draws the run's augmentation for every example.
        labels: ``own``: those that are stored: hard, or soft and then learned. ``assigned``: soft
            ones that the target expert gives to the present examples at every step.
            ``assigned_once``: the same before the first step (not where a run goes on from a
            summary), then learned.
        loss: of inner training, a name in ``ddcore.training.LOSSES``.

    Source: Cazenavette et al. 2022 (arXiv:2203.11932); Cui et al. 2022 (arXiv:2211.10586); survey,
    equation 10.
    """

    inner_steps: int = 30
    synthetic_batch: int | None = None
    synthetic_total: int | None = None
    step_sizes: StepSizes = field(default_factory=lambda: StepSizes(0.01, "shared"))
    gradient: str = "reverse"
    window: int | None = None
    snapshot_every: int = 1
    augment: bool = True
    labels: str = "own"
    loss: str = "cross_entropy"
    family: ClassVar[str] = "trajectory"
    trains_labels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.labels not in LABELS:
            raise UnknownNameError("labels", self.labels, LABELS)
        require_counts(synthetic_total=1 if self.synthetic_total is None else self.synthetic_total)
        check_inner_settings(
            gradient=self.gradient,
            loss=self.loss,
            inner_steps=self.inner_steps,
            synthetic_batch=self.synthetic_batch,
            window=self.window,
            snapshot_every=self.snapshot_every,
        )

    def check_networks(self, source: NetworkSource) -> None:
        if not isinstance(source, SegmentSource):
            raise UnsupportedError(
                f"trajectory matching needs the trajectories of experts: networks=ExpertSegments(...) or GivenSegment(...), not {type(source).__name__}"
            )

    def start(self, run: Run) -> MatchingState:
        if run.spec.task.numeric and self.labels != "own":
            raise UnsupportedError("experts assign shares of classes as labels; the targets here are numbers")
        if self.labels == "assigned" or (self.labels == "assigned_once" and not run.continued):
            self._assign(run)
        return StepSizeState(self.step_sizes, self.inner_steps, run)

    def asks(self) -> frozenset[str]:
        return frozenset()

    def terms(self, run: Run, state: MatchingState) -> Iterator[Term]:
        assert isinstance(state, StepSizeState)
        segments = run.networks
        assert isinstance(segments, Segments)
        (network,) = segments.current()
        start = [w.detach().clone() for w in network.module.parameters()]
        target = segments.target()
        if self.labels == "assigned":
            self._assign(run)
        members = {c: run.examples.indices_of(c) for c in run.examples.classes}
        random = run.generator("inner-order")
        if self.synthetic_total is None:
            batches = step_batches(members, self.inner_steps, self.synthetic_batch, random)
        else:
            batches = mixed_batches(members, self.inner_steps, self.synthetic_total, random)
        inner = InnerTraining(run, network, batches, augment=self.augment, loss=self.loss)
        trained = unroll(
            inner,
            start,
            state.rates(start[0]),
            inner.leaves(),
            gradient=self.gradient,
            window=self.window,
            snapshot_every=self.snapshot_every,
        )
        groups = tuple(
            g for g in (*run.examples.groups(), *state.groups()) if g != "labels" or self.labels != "assigned"
        )
        yield Term(relative_distance(trained, target, start), groups=groups)

    def _assign(self, run: Run) -> None:
        """Give the present examples the labels that the expert predicts at the segment's end."""
        assert isinstance(run.networks, Segments)
        (network,), weights = run.networks.current(), run.networks.target()
        names = [name for name, _ in network.module.named_parameters()]
        with torch.no_grad(), run.autocast():
            inputs = run.examples.decode().inputs
            parts = [
                functional_call(network.module, dict(zip(names, weights, strict=True)), (part,))
                for part in inputs.split(run.micro_batch)
            ]
        run.examples.assign_labels(torch.cat(parts).to(run.dtype).softmax(dim=1))

    def first_recipe(self, soft_labels: bool) -> Recipe:
        return Recipe(self.loss, None if self.step_sizes.learned == "fixed" else self.step_sizes.initial)

    def recipe(self, state: MatchingState) -> Recipe:
        assert isinstance(state, StepSizeState)
        learned = {"shared": state.numbers()[0], "per_step": sum(state.numbers()) / self.inner_steps}
        return Recipe(self.loss, learned.get(self.step_sizes.learned))


def relative_distance(weights: Sequence[Tensor], target: Sequence[Tensor], start: Sequence[Tensor]) -> Tensor:
    r"""Return the squared distance from the target over that of the segment's start.

    .. math:: \|w - \theta_{t+M}\|^2 / \|\theta_t - \theta_{t+M}\|^2

    Norms are over all weights together.
    """
    return _squared_distance(weights, target) / _squared_distance(start, target).clamp_min(1e-30)


def _squared_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    return torch.stack([(x - y).square().sum() for x, y in zip(a, b, strict=True)]).sum()
