"""Implicit gradients of training that is made convex: RCIG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ddcore.errors import NumericalError, UnknownNameError
from ddcore.kernels import centred
from ddcore.matching.meta_model.quadratic import FALLS, RISES, Product, adam_descent, conjugate_gradients
from ddcore.matching.meta_model.regression import (
    RegressionState,
    check_loss,
    label_margin,
    regressed,
    regression_recipe,
)
from ddcore.matching.real_count import check_real_count, real_count
from ddcore.parts import Matching, MatchingState, Network, Recipe, Run, Term
from ddcore.settings import require, require_counts

SOLVERS = ("cg", "adam")
FIRST_RATES = {"inner": 1e-5, "inverse": 5e-5}
RATES_EVERY = 50


@dataclass(frozen=True)
class ConvexifiedTraining(Matching):
    r"""The loss on real examples of a network that is linear in its weights, trained to the end.

    Around weights :math:`\theta`, with features :math:`\phi` before the classifier, the network is

    .. math:: f(x) = J(x)\,\omega + W^\top \phi(x), \qquad
       J(x) = \partial_\theta f_\theta(x).

    :math:`\omega` moves all weights but the classifier's matrix; for that there is :math:`W`. Both
    are trained on the synthetic examples :math:`S` with labels :math:`y`:

    .. math:: \min_{\omega, W} \tfrac12 \|y - f(S)\|^2 + \tfrac\lambda2 (\|\omega\|^2 + \|W\|^2).

    The best :math:`W` has a closed form: :math:`W = \phi(S)^\top \alpha`, with
    :math:`\alpha = A^{-1}(y - J_S \omega)` and :math:`A = \phi(S)\phi(S)^\top + \lambda I`. What is
    left is quadratic in :math:`\omega`; over :math:`|S|\,C` numbers its mean is

    .. math:: L(\omega) = \tfrac{\lambda}{2 |S| C} \big(\langle y - J_S \omega, \alpha \rangle
       + \|\omega\|^2\big).

    The loss :math:`\ell` on real examples is differentiated by :math:`S` directly, through
    :math:`W`, and implicitly, through :math:`\omega`, by the implicit function theorem:

    .. math:: -\partial_S \big\langle v, \nabla_\omega L \big\rangle, \qquad
       \nabla^2_\omega L \; v = \nabla_\omega \ell.

    A solver finds :math:`\omega` and :math:`v`. Each of its steps costs one derivative along a
    direction and one gradient, on the synthetic examples alone.

    Attributes:
        ridge: :math:`\lambda` divided by the number of synthetic examples, mirrored ones left out.
        solver: ``cg``: conjugate gradients. ``adam``: its learning rates are first raised by a
            fifth until the function no longer falls in every step, then multiplied by .7. That
            of :math:`\omega` goes on: every 50 steps of the run it is multiplied by .9 if .29 of
            its descents ended above their start, or by 1.05 if .7 fell in every step.
        solver_steps: of the solver, for each of :math:`\omega` and :math:`v`.
        tolerance: conjugate gradients end where the residual is this share of the right side.
        clip: whether the implicit gradient of a parameter is at most as long as its direct one.
        real_batch: real examples per class and step.
        real_total: real examples per step in all, shared out over the classes. They take the place
            of ``real_batch``. None: ``real_batch`` holds.
        loss: as in `KernelRegression`, a squared one summed over outputs.
        label_margin: whether the mean of :math:`\min(y_{(1)} - y_{(2)}, 1/2C)` is subtracted.
        mirrored: whether every synthetic example also stands in :math:`S` mirrored, where such
            examples can be and keep their class.

    Source: Loo et al. 2023 (arXiv:2302.06755), sections 4 and 5.
    """

    ridge: float = 5e-4
    solver: str = "cg"
    solver_steps: int = 20
    tolerance: float = 1e-4
    clip: bool = True
    real_batch: int = 100
    real_total: int | None = None
    loss: str = "platt"
    label_margin: bool = True
    mirrored: bool = False
    family: ClassVar[str] = "meta-model"
    trains_labels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_loss(self.loss)
        if self.solver not in SOLVERS:
            raise UnknownNameError("solver", self.solver, SOLVERS)
        check_real_count(self.real_batch, self.real_total)
        require_counts(solver_steps=self.solver_steps)
        require(self.solver == "cg" or self.solver_steps > 1, "adam needs 2 steps or more to find its learning rates")
        require(0 < self.ridge < float("inf"), f"ridge must be positive and finite, not {self.ridge}")
        require(0 <= self.tolerance < 1, f"tolerance is a share, in [0, 1), not {self.tolerance}")

    def start(self, run: Run) -> MatchingState:
        return _State(self, run)

    def terms(self, run: Run, state: MatchingState) -> Iterator[Term]:
        assert isinstance(state, _State)
        (network,) = run.networks.current()
        names = [name for name, _ in network.module.named_parameters() if name != f"{network.head}.weight"]
        with network.differentiated(names) as weights:
            yield self._term(run, state, network, weights)

    def _term(self, run: Run, state: _State, network: Network, weights: Sequence[nn.Parameter]) -> Term:
        classes = run.spec.num_classes
        real = run.real.batch(run.examples.classes, real_count(run, self.real_batch, self.real_total), "real")
        wanted = centred(real.targets, classes)
        inputs, labels = regressed(run, self.mirrored)
        ridge = self.ridge * sum(run.examples.counts.values())
        scale = ridge / labels.numel()
        with run.autocast():
            support = _Linearised(network, weights, inputs)
        solve = _inverse(support.features, ridge, checked=run.device.type == "cpu")
        fixed = _inverse(support.features.detach(), ridge, checked=False)

        def hessian(direction: Tensor) -> Tensor:
            return scale * (direction + support.pull(fixed(support.push(direction))))

        omega = state.solution("inner", hessian, scale * support.pull(fixed(labels.detach())), run)
        dual = solve(labels - support.push(omega, differentiable=True))
        ends = [support.features.detach().requires_grad_(), dual.detach().requires_grad_(), *state.parameters()]
        derivatives = [torch.zeros_like(e) for e in ends]
        outer, value = torch.zeros_like(omega), torch.zeros((), dtype=torch.float64, device=run.device)
        size = run.gradient_micro_batch
        for part, targets in zip(real.inputs.split(size), wanted.split(size), strict=True):
            with run.autocast():
                tested = _Linearised(network, weights, part)
            moved = tested.push(omega).requires_grad_()
            loss = state.loss_sum(moved + tested.features.detach() @ ends[0].T @ ends[1], targets) / len(wanted)
            by_moved, *found = torch.autograd.grad(loss, [moved, *ends])
            outer += tested.pull(by_moved)
            derivatives = [d + g for d, g in zip(derivatives, found, strict=True)]
            value += loss.detach()
        outer -= support.pull(fixed(derivatives[1]))
        inverse = state.solution("inverse", hessian, outer, run)
        implicit = scale * (support.push(inverse, differentiable=True) * dual).sum()
        direct = (derivatives[0] * support.features).sum() + (derivatives[1] * dual).sum()
        if self.label_margin and classes > 1:
            margin = label_margin(labels, 1 / (2 * classes))
            direct, value = direct - margin, value - margin.detach()
        leaves = [p for group in run.examples.groups().values() for p in group]
        moves = [*self._together(direct, implicit, leaves), *derivatives[2:]]
        product = torch.stack(
            [(m * leaf).sum().double() for m, leaf in zip(moves, [*leaves, *state.parameters()], strict=True)]
        ).sum()
        return Term(product - product.detach() + value, classes=run.examples.classes)

    def _together(self, direct: Tensor, implicit: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
        """Return the sum of both gradients by each leaf, the implicit one clipped."""
        each = [
            torch.autograd.grad(of, leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
            for of in (direct, implicit)
        ]
        if not self.clip:
            return [d + i for d, i in zip(*each, strict=True)]
        tiny = torch.finfo(torch.float32).tiny
        return [d + i * (d.norm() / i.norm().clamp_min(tiny)).clamp_max(1) for d, i in zip(*each, strict=True)]

    def first_recipe(self, soft_labels: bool) -> Recipe:
        return regression_recipe(soft_labels)

    def recipe(self, state: MatchingState) -> Recipe:
        assert isinstance(state, _State)
        return state.recipe()


class _Linearised:
    """A network's features of some inputs, and its derivative by its weights there.

    Directions of weights are one vector.
    """

    def __init__(self, network: Network, weights: Sequence[nn.Parameter], inputs: Any) -> None:
        self._weights = weights
        features, self._logits = network.features_and_logits(inputs)
        self.features = features.double()
        self._along = torch.zeros_like(self._logits).requires_grad_()
        # Linear in what it is pulled along: its derivative by that is the derivative along weights.
        pulled = torch.autograd.grad(
            self._logits, weights, self._along, create_graph=True, allow_unused=True, materialize_grads=True
        )
        self._pulled = [(p, i) for i, p in enumerate(pulled) if p.requires_grad]

    def push(self, direction: Tensor, *, differentiable: bool = False) -> Tensor:
        r"""Return :math:`J \omega`, ``n x C`` in float64."""
        parts = direction.to(self._logits.dtype).split([w.numel() for w in self._weights])
        along = [parts[i].view_as(p) for p, i in self._pulled]
        (moved,) = torch.autograd.grad(
            [p for p, _ in self._pulled], self._along, along, create_graph=differentiable, retain_graph=True
        )
        return moved.double()

    def pull(self, outputs: Tensor) -> Tensor:
        r"""Return :math:`J^\top u` for :math:`u` of shape ``n x C``, in float64."""
        found = torch.autograd.grad(
            self._logits,
            self._weights,
            outputs.to(self._logits.dtype),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return torch.cat([f.flatten() for f in found]).double()


def _inverse(features: Tensor, ridge: float, *, checked: bool) -> Callable[[Tensor], Tensor]:
    r"""Return :math:`y \mapsto (\phi\phi^\top + \lambda I)^{-1} y`."""
    gram = features @ features.T
    factor, info = torch.linalg.cholesky_ex(gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device))
    if checked and int(info) != 0:
        raise NumericalError(f"the features of the {len(gram)} synthetic examples are singular: raise matching.ridge")
    return lambda labels: torch.cholesky_solve(labels.double(), factor)


class _State(RegressionState):
    """Learning rates of the solver, if it is Adam."""

    def __init__(self, settings: ConvexifiedTraining, run: Run) -> None:
        super().__init__(settings.loss, run)
        self._settings = settings
        self._rates: dict[str, float] = {}
        self._verdicts: list[int] = []

    def solution(self, what: str, product: Product, right: Tensor, run: Run) -> Tensor:
        """Return the solution of ``inner`` or ``inverse``."""
        settings = self._settings
        steps = settings.solver_steps
        if settings.solver == "cg":
            return conjugate_gradients(product, right, steps, settings.tolerance)
        if what not in self._rates:
            self._rates[what] = _largest_rate(product, right, steps, FIRST_RATES[what])
        found, verdict = adam_descent(product, right, steps, self._rates[what])
        if what == "inner":
            self._verdicts.append(verdict)
            if run.step > 0 and run.step % RATES_EVERY == 0:
                self._rates[what] *= _change(self._verdicts)
                self._verdicts = []
        return found

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"rates": dict(self._rates), "verdicts": list(self._verdicts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._rates, self._verdicts = dict(state["rates"]), list(state["verdicts"])


def _largest_rate(product: Product, right: Tensor, steps: int, rate: float) -> float:
    verdict = FALLS
    while verdict == FALLS:
        _, verdict = adam_descent(product, right, steps, rate)
        rate *= 1.2
    return 0.7 * rate


def _change(verdicts: Sequence[int]) -> float:
    if verdicts.count(RISES) >= 0.29 * len(verdicts):
        return 0.9
    return 1.05 if verdicts.count(FALLS) >= 0.7 * len(verdicts) else 1.0
