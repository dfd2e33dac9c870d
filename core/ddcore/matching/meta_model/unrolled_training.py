"""Differentiating through the training of a network on the synthetic examples: DD, LinBa."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch

from ddcore.errors import UnknownNameError
from ddcore.matching.real_count import check_real_count, real_count
from ddcore.matching.unrolling.inner import InnerTraining, check_inner_settings
from ddcore.matching.unrolling.state import StepSizeState
from ddcore.matching.unrolling.step_sizes import StepSizes
from ddcore.matching.unrolling.unroll import unroll
from ddcore.parts import Matching, MatchingState, Recipe, Run, Steps, Term, step_batches
from ddcore.settings import require

ORDERS = ("fixed", "random")


@dataclass(frozen=True)
class UnrolledTraining(Matching):
    r"""The loss on real examples of a network that was trained on the synthetic ones.

    .. math:: \ell\big(T;\, w_N(S)\big), \qquad
       w_{t+1} = w_t - \alpha_t v_{t+1}, \quad
       v_{t+1} = \mu v_t + \nabla_w \ell(S_t; w_t)

    Of the real data it needs the gradient at :math:`w_N` alone, all classes weighing the same.

    Attributes:
        inner_steps: :math:`N`.
        synthetic_batch: examples of each class in one inner step; None: all.
        order: ``fixed``: examples take turns in their order, and the summary's recipe is this very
            training. ``random``: examples come in a new order for every network, and networks are
            trained on the summary as the protocol says.
        momentum: of the inner steps.
        step_sizes: of the inner steps.
        gradient: ``reverse``, ``backprop``, ``truncated`` or ``detached``; see
            `ddcore.matching.unroll`.
        window: of ``truncated``.
        snapshot_every: of ``reverse`` and ``detached``.
        augment: whether inner training draws the run's augmentation for every example.
        real_batch: real examples per class and step.
        real_total: real examples per step in all, shared out over the classes. They take the place
            of ``real_batch``. None: ``real_batch`` holds.
        loss: of both trainings, a name in ``ddcore.training.LOSSES``.

    Source: Wang et al. 2018 (arXiv:1811.10959); Deng & Russakovsky 2022 (arXiv:2206.02916); survey,
    equation 4.
    """

    inner_steps: int = 30
    synthetic_batch: int | None = None
    order: str = "fixed"
    momentum: float = 0.0
    step_sizes: StepSizes = field(default_factory=StepSizes)
    gradient: str = "reverse"
    window: int | None = None
    snapshot_every: int = 1
    augment: bool = False
    real_batch: int = 100
    real_total: int | None = None
    loss: str = "cross_entropy"
    family: ClassVar[str] = "meta-model"
    trains_labels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise UnknownNameError("order", self.order, ORDERS)
        check_inner_settings(
            gradient=self.gradient,
            loss=self.loss,
            inner_steps=self.inner_steps,
            synthetic_batch=self.synthetic_batch,
            window=self.window,
            snapshot_every=self.snapshot_every,
        )
        check_real_count(self.real_batch, self.real_total)
        require(
            not (self.augment and self.order == "fixed"),
            "training in a fixed order is repeated by evaluation as it was learned, without augmentation: augment=False, or order='random'",
        )
        require(0 <= self.momentum < 1, f"momentum must lie in [0, 1), not {self.momentum}")

    def start(self, run: Run) -> MatchingState:
        for network in run.networks.current():
            network.require_independent_examples()
        return StepSizeState(self.step_sizes, self.inner_steps, run)

    def asks(self) -> frozenset[str]:
        return frozenset({"gradients"})

    def terms(self, run: Run, state: MatchingState) -> Iterator[Term]:
        assert isinstance(state, StepSizeState)
        (network,) = run.networks.current()
        members = {c: run.examples.indices_of(c) for c in run.examples.classes}
        # Soft labels tell of classes that have no example of their own.
        classes = list(run.spec.classes if "labels" in run.examples.groups() else run.examples.classes)
        random = None if self.order == "fixed" else run.generator("inner-order")
        batches = step_batches(members, self.inner_steps, self.synthetic_batch, random)
        inner = InnerTraining(run, network, batches, augment=self.augment, loss=self.loss)
        start = [w.detach().clone() for w in network.module.parameters()]
        trained = unroll(
            inner,
            start,
            state.rates(start[0]),
            inner.leaves(),
            gradient=self.gradient,
            momentum=self.momentum,
            window=self.window,
            snapshot_every=self.snapshot_every,
        )
        views = run.views(classes)
        names = [name for name, _ in network.module.named_parameters()]
        with network.holding(trained):
            (real,) = run.real.gradients(
                network, [classes], views, real_count(run, self.real_batch, self.real_total, classes), names, self.loss
            )
        along = torch.stack([(g * w).sum() for g, w in zip(real.tensors, trained, strict=True)]).sum()
        yield Term(along - along.detach() + (0.0 if real.loss is None else real.loss), classes=tuple(classes))

    def first_recipe(self, soft_labels: bool) -> Recipe:
        return self._recipe((self.step_sizes.initial,) * self.inner_steps)

    def recipe(self, state: MatchingState) -> Recipe:
        assert isinstance(state, StepSizeState)
        return self._recipe(state.numbers())

    def _recipe(self, rates: tuple[float, ...]) -> Recipe:
        if self.order == "fixed":
            return Recipe(self.loss, steps=Steps(rates, self.synthetic_batch, self.momentum))
        return Recipe(self.loss, learning_rate=rates[0] if self.step_sizes.learned == "shared" else None)
