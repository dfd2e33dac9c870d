"""Kernel ridge regression on the synthetic examples, tested on real ones: KIP, RFAD, FRePO."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.errors import UnsupportedError
from ddcore.kernels import AnalyticKernel, centred, ridge_solution
from ddcore.matching.meta_model.regression import (
    RegressionState,
    check_loss,
    label_margin,
    regressed,
    regression_recipe,
)
from ddcore.matching.real_count import check_real_count, real_count
from ddcore.parts import Kernel, Matching, MatchingState, NetworkSource, Recipe, Run, Term
from ddcore.settings import require, require_counts


@dataclass(frozen=True)
class KernelRegression(Matching):
    r"""The loss on real examples :math:`T` of ridge regression on the synthetic ones :math:`S`.

    .. math:: f(T) = K_{TS} \big(K_{SS} + \lambda \tfrac{\mathrm{tr} K_{SS}}{|S|} I\big)^{-1} y_S

    Real labels are one-hot minus 1 / C, as are synthetic ones unless they are soft.

    Attributes:
        kernel: an `AnalyticKernel`, or a `FeatureKernel` of the run's networks.
        ridge: :math:`\lambda`.
        ridges: where given, the ridge is chosen of these by validation data: at the start and every
            ``choose_every`` steps. The best score on them counts.
        choose_every: see ``ridges``.
        choose_by: name of that score. Empty: the task's main one.
        real_batch: real examples per class and step.
        real_total: real examples per step in all, shared out over the classes. They take the place
            of ``real_batch``. None: ``real_batch`` holds.
        loss: ``squared``: :math:`\frac12 \|f(x) - y\|^2`, its mean over examples and, with
            ``mean_over_classes``, outputs. ``platt``: the cross-entropy of :math:`e^k f(x)` with a
            learned number :math:`k` (parameter group ``platt``), 0 at first. ``multinomial``:
            :math:`-\sum_c y_c \log \mathrm{softmax}(f(x))_c` of labels that are weights.
        mean_over_classes: see ``loss``.
        label_margin: whether the mean of :math:`\min(y_{(1)} - y_{(2)}, 1/C)` is subtracted from
            the loss. Here :math:`y_{(1)}, y_{(2)}` are the two largest entries of a synthetic
            label.
        mirrored: whether every synthetic example also stands in :math:`S` mirrored, where such
            examples can be and keep their class.

    Source: Nguyen et al. 2021 (arXiv:2011.00050); Loo et al. 2022 (arXiv:2210.12067); Zhou et al.
    2022 (arXiv:2206.00719); survey, equations 5 and 6.
    """

    kernel: Kernel = field(default_factory=AnalyticKernel)
    ridge: float = 1e-6
    ridges: tuple[float, ...] = ()
    choose_every: int = 25
    choose_by: str = ""
    real_batch: int = 500
    real_total: int | None = None
    loss: str = "squared"
    mean_over_classes: bool = True
    label_margin: bool = False
    mirrored: bool = False
    family: ClassVar[str] = "meta-model"
    trains_labels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_loss(self.loss)
        check_real_count(self.real_batch, self.real_total)
        for ridge in (self.ridge, *self.ridges):
            require(0 <= ridge < float("inf"), f"ridge must be finite and not negative, it is {ridge}")
        require_counts(choose_every=self.choose_every)

    def asks(self) -> frozenset[str]:
        return super().asks() | ({"validate"} if self.ridges else set())

    def check_networks(self, source: NetworkSource) -> None:
        if self.kernel.of_networks and source.at_a_time() == 0:
            raise UnsupportedError("a kernel of features needs networks to take them from: choose a network source")
        if not self.kernel.of_networks and source.at_a_time() > 0:
            raise UnsupportedError("an analytic kernel takes no networks: networks=NoNetworks()")

    def start(self, run: Run) -> MatchingState:
        return _KernelState(self.loss, self.ridge, run)

    def terms(self, run: Run, state: MatchingState) -> Iterator[Term]:
        assert isinstance(state, _KernelState)
        kernel, networks, classes = self.kernel, run.networks.current(), run.spec.num_classes
        real = run.real.batch(run.examples.classes, real_count(run, self.real_batch, self.real_total), "real")
        wanted = centred(real.targets, classes)
        inputs, labels = regressed(run, self.mirrored)
        with run.autocast():
            support = kernel.embed(inputs, networks)
        checked = run.device.type == "cpu"
        gram = kernel.product(support, support)
        if self.ridges and run.step % self.choose_every == 0:
            state.ridge = self._chosen_ridge(run, support.detach(), gram.detach(), labels.detach())
        dual = ridge_solution(gram, labels, state.ridge, checked=checked)
        fitting = kernel.fitting(len(inputs), run.spec.shape, labels.shape[1])
        # The real side is taken in pieces. The derivatives by support and dual are added up. One
        # backward pass does the rest.
        ends = [support.detach().requires_grad_(), dual.detach().requires_grad_(), *state.parameters()]
        derivatives = [torch.zeros_like(e) for e in ends]
        value = torch.zeros((), dtype=torch.float64, device=run.device)
        size = min(run.micro_batch, fitting) if kernel.of_networks else fitting
        for part, targets in zip(real.inputs.split(size), wanted.split(size), strict=True):
            with torch.no_grad(), run.autocast():
                tested = kernel.embed(part, networks)
            loss = state.loss_sum(
                kernel.product(tested, ends[0]).double() @ ends[1], targets, mean_over_classes=self.mean_over_classes
            ) / len(wanted)
            value += loss.detach()
            found = torch.autograd.grad(loss, ends)
            derivatives = [d + g for d, g in zip(derivatives, found, strict=True)]
        product = torch.stack(
            [(d * e).sum().double() for d, e in zip(derivatives, [support, dual, *state.parameters()], strict=True)]
        ).sum()
        total = product - product.detach() + value
        yield Term(
            total - label_margin(labels, 1 / classes) if self.label_margin and classes > 1 else total,
            classes=run.examples.classes,
        )

    def _chosen_ridge(self, run: Run, support: Tensor, gram: Tensor, labels: Tensor) -> float:
        kernel, networks, found = self.kernel, run.networks.current(), dict[float, float]()
        for ridge in self.ridges:
            dual = ridge_solution(gram, labels, ridge)

            def predict(inputs: Tensor, dual: Tensor = dual) -> Tensor:
                return kernel.product(kernel.embed(inputs, networks), support).double() @ dual

            found[ridge] = run.real.validate(predict)[self.choose_by or run.spec.task.score]
        return max(found, key=lambda ridge: found[ridge])

    def first_recipe(self, soft_labels: bool) -> Recipe:
        return regression_recipe(soft_labels)

    def recipe(self, state: MatchingState) -> Recipe:
        assert isinstance(state, _KernelState)
        return state.recipe()


class _KernelState(RegressionState):
    def __init__(self, loss: str, ridge: float, run: Run) -> None:
        super().__init__(loss, run)
        self.ridge = ridge

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"ridge": self.ridge}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.ridge = float(state["ridge"])
