"""Unrolled training: the sweep back against plain backpropagation, and both against formulas."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

import ddcore as dd
from ddcore.errors import NumericalError, SettingsError, UnknownNameError
from ddcore.images import ConvNet, MultiFormation, Pixels, SiameseAugmentation
from ddcore.matching import StepSizes, unroll
from ddcore.matching.unrolling.inner import InnerTraining
from ddcore.matching.unrolling.step_sizes import require_positive
from ddcore.parts import step_batches
from ddcore.sources import FreshNetworks
from tests.running import started

Setting = tuple[str, int]


def relative(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    return max(float((f - w).norm() / w.norm()) for f, w in zip(found, wanted, strict=True))


def derivatives(
    inner: InnerTraining, weights: list[Tensor], rates: Tensor, gradient: str, momentum: float, **settings: int
) -> list[Tensor]:
    trained = unroll(inner, weights, rates, inner.leaves(), gradient=gradient, momentum=momentum, **settings)
    random = torch.Generator().manual_seed(7)
    aims = [torch.randn(w.shape, generator=random, dtype=w.dtype) for w in weights]
    distance = torch.stack([(w - a).square().sum() for w, a in zip(trained, aims, strict=True)]).sum()
    return list(torch.autograd.grad(distance, [rates, *inner.leaves(), *(w for w in weights if w.requires_grad)]))


@pytest.mark.parametrize("snapshot_every", [1, 7])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("steps", [1, 5, 20])
def test_reverse_is_backpropagation(digits: dd.TargetData, steps: int, momentum: float, snapshot_every: int) -> None:
    run = started(
        digits,
        factorization=Pixels(ipc=2, init="noise", labels="soft"),
        augmentation=SiameseAugmentation(),
        networks=FreshNetworks(ConvNet(width=4)),
    )
    (network,) = run.networks.current()
    members = {c: run.examples.indices_of(c) for c in run.examples.classes}
    inner = InnerTraining(run, network, step_batches(members, steps, 1, run.generator("order")), augment=True)
    weights = [w.detach().clone().requires_grad_() for w in network.module.parameters()]
    rates = torch.linspace(0.02, 0.1, steps, dtype=torch.float64).requires_grad_()
    wanted = derivatives(inner, weights, rates, "backprop", momentum)
    found = derivatives(inner, weights, rates, "reverse", momentum, snapshot_every=snapshot_every)
    assert relative(found, wanted) < 1e-8
    detached = derivatives(inner, weights, rates, "detached", momentum, snapshot_every=snapshot_every)
    assert (relative(detached[1:3], wanted[1:3]) < 1e-8) == (steps == 1)


def test_tiles_of_stored_images_get_the_same_gradient_either_way(digits: dd.TargetData) -> None:
    run = started(digits, factorization=MultiFormation(ipc=1, factor=2, init="random"))
    (network,) = run.networks.current()
    members = {c: run.examples.indices_of(c) for c in run.examples.classes}
    inner = InnerTraining(run, network, step_batches(members, 4, 2), augment=False)
    weights = [w.detach() for w in network.module.parameters()]
    rates = torch.full((4,), 0.1, dtype=torch.float64, requires_grad=True)
    both = [derivatives(inner, weights, rates, gradient, 0.9) for gradient in ("reverse", "backprop")]
    assert relative(*both) < 1e-8


def quadratic(examples: Tensor) -> tuple[object, Tensor]:
    """Descent on half the squared distance to an example: everything has a closed form."""

    def loss_at(t: int, weights: Sequence[Tensor]) -> Tensor:
        return 0.5 * (weights[0] - examples[t]).square().sum()

    return loss_at, examples


@pytest.mark.parametrize("gradient", ["reverse", "backprop"])
def test_descent_on_a_quadratic_has_its_closed_form(gradient: str) -> None:
    examples = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    rates = torch.tensor([0.5, 0.25, 0.1], dtype=torch.float64)
    loss_at, _ = quadratic(examples)
    (final,) = unroll(loss_at, [torch.zeros(5, dtype=torch.float64)], rates, [examples], gradient=gradient)  # type: ignore[arg-type]
    (found,) = torch.autograd.grad(final.sum(), examples)
    shares = [0.5 * 0.75 * 0.9, 0.25 * 0.9, 0.1]
    torch.testing.assert_close(found, torch.tensor(shares, dtype=torch.float64).unsqueeze(1).expand(3, 5))
    torch.testing.assert_close(final.detach(), sum(s * e for s, e in zip(shares, examples.detach(), strict=True)))


def test_detached_leaves_out_what_earlier_steps_do_to_later_ones() -> None:
    examples = torch.ones(3, 1, dtype=torch.float64, requires_grad=True)
    loss_at, _ = quadratic(examples)
    rates = torch.tensor([0.5, 0.25, 0.1], dtype=torch.float64)
    (final,) = unroll(loss_at, [torch.zeros(1, dtype=torch.float64)], rates, [examples], gradient="detached")  # type: ignore[arg-type]
    (found,) = torch.autograd.grad(final.sum(), examples)
    torch.testing.assert_close(found.flatten(), rates)


def test_truncation_keeps_the_last_steps_alone() -> None:
    examples = torch.ones(3, 1, dtype=torch.float64, requires_grad=True)
    loss_at, _ = quadratic(examples)
    rates = torch.tensor([0.5, 0.25, 0.1], dtype=torch.float64)
    start = [torch.zeros(1, dtype=torch.float64)]
    (final,) = unroll(loss_at, start, rates, [examples], gradient="truncated", window=2)  # type: ignore[arg-type]
    (found,) = torch.autograd.grad(final.sum(), examples)
    torch.testing.assert_close(found.flatten(), torch.tensor([0.0, 0.25 * 0.9, 0.1], dtype=torch.float64))


def test_no_steps_and_unknown_gradients_are_refused() -> None:
    loss_at, _ = quadratic(torch.zeros(1, 1))
    with pytest.raises(SettingsError, match="at least 1 step"):
        unroll(loss_at, [torch.zeros(1)], torch.zeros(0), [])  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="reverse"):
        unroll(loss_at, [torch.zeros(1)], torch.ones(1), [], gradient="forward")  # type: ignore[arg-type]
    for matching in (dd.matching.UnrolledTraining, dd.matching.TrajectoryMatching):
        with pytest.raises(SettingsError, match="inner_steps"):
            matching(inner_steps=0)
        with pytest.raises(UnknownNameError, match="unknown loss 'hinge'"):
            matching(loss="hinge")


def test_step_sizes() -> None:
    like = torch.zeros((), dtype=torch.float64)
    for learned, size in (("shared", 1), ("per_step", 4)):
        for positive in (False, True):
            settings = StepSizes(0.03, learned, positive)
            parameter = settings.parameter(4, torch.float64, torch.device("cpu"))
            assert parameter is not None and parameter.numel() == size
            torch.testing.assert_close(settings.values(parameter, 4, like), torch.full((4,), 0.03, dtype=torch.float64))
    assert StepSizes(0.03).parameter(4, torch.float64, torch.device("cpu")) is None
    with pytest.raises(NumericalError, match="positive"):
        require_positive(torch.tensor([0.1, -0.2]))
    with pytest.raises(SettingsError, match="step size"):
        StepSizes(0.0)


def test_batches_give_every_example_its_turn() -> None:
    members = {0: torch.arange(4), 3: torch.arange(4, 6)}
    fixed = step_batches(members, 4, 1)
    assert [b.tolist() for b in fixed] == [[0, 4], [1, 5], [2, 4], [3, 5]]
    shuffled = torch.stack(step_batches(members, 8, 1, torch.Generator().manual_seed(0)))
    orders = {tuple(o) for o in torch.stack(step_batches(members, 40, 1, torch.Generator()))[:, 0].view(10, 4).tolist()}
    assert len(orders) > 5, "every round has an order of its own"
    assert shuffled[:4, 0].sort().values.tolist() == shuffled[4:, 0].sort().values.tolist() == [0, 1, 2, 3]
    assert [b.tolist() for b in step_batches(members, 2, None)] == [[0, 1, 2, 3, 4, 5]] * 2


def test_a_learned_step_size_is_set_back_to_its_floor() -> None:
    sizes = StepSizes(0.01, "shared", floor=0.001)
    learned = sizes.parameter(3, torch.float64, torch.device("cpu"))
    assert learned is not None
    with torch.no_grad():
        learned.fill_(-5.0)
    assert sizes.values(learned, 3, torch.zeros((), dtype=torch.float64)).tolist() == [0.001] * 3
    assert learned.tolist() == [0.001]
    with pytest.raises(SettingsError, match="floor"):
        StepSizes(0.01, "shared", floor=0.02)
    with pytest.raises(SettingsError, match="floor"):
        StepSizes(0.01, "shared", positive=True, floor=0.001)
