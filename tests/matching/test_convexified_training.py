"""Convexified training: its gradient against that through the exact solution, its solvers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, jacrev

import ddcore as dd
from ddcore.errors import SettingsError, UnknownNameError, UnsupportedError
from ddcore.images import ConvNet, Pixels
from ddcore.kernels import centred
from ddcore.matching import ConvexifiedTraining
from ddcore.matching.meta_model.convexified_training import _change, _largest_rate
from ddcore.matching.meta_model.quadratic import FALLS, NEITHER, RISES, adam_descent, conjugate_gradients
from ddcore.sources import FreshNetworks
from tests.running import started

EXACT = ConvexifiedTraining(ridge=1e-2, solver_steps=300, tolerance=1e-13, real_batch=4, clip=False, label_margin=False)
SMALL = FreshNetworks(ConvNet(width=2, norm="none", activation="softplus"))


def a_run(few_digits: dd.TargetData, **settings: object) -> dd.Run:
    factorization = Pixels(ipc=1, labels="soft", label_init="scaled")
    return started(few_digits, factorization=factorization, networks=SMALL, **settings)  # type: ignore[arg-type]


def gradients(run: dd.Run, matching: ConvexifiedTraining) -> tuple[float, list[Tensor]]:
    state = matching.start(run)
    parameters = [p for group in (*run.examples.groups().values(), *state.groups().values()) for p in group]
    (term,) = matching.terms(run, state)
    return float(term.loss.detach()), list(torch.autograd.grad(term.loss, parameters))


def through_the_solution(run: dd.Run, *, implicit: bool) -> tuple[float, list[Tensor]]:
    """Solve for the dual of all outputs at once, by the kernel of all weights; differentiate it.

    Without ``implicit`` the weights of the body are held.
    """
    (network,) = run.networks.current()
    module = network.module
    body = {n: w.detach() for n, w in module.named_parameters() if n != "1.weight"}
    head = {"1.weight": module.get_parameter("1.weight").detach()}

    def jacobian(x: Tensor) -> Tensor:
        found = jacrev(lambda weights: functional_call(module, weights | head, (x,)))(body)
        return torch.cat([f.flatten(2) for f in found.values()], dim=2).flatten(0, 1)

    (images,), (labels,) = run.examples.groups()["images"], run.examples.groups()["labels"]
    real = run.real.batch([0, 1, 7], 4, "real")
    phi, psi = module[0](images), module[0](real.inputs)  # type: ignore[index]
    at_images, at_real = jacobian(images), jacobian(real.inputs)
    classes, ridge = torch.eye(10, dtype=torch.float64), 1e-2 * len(images) * torch.eye(len(images)).double()
    gram = torch.kron(phi @ phi.T + ridge, classes)
    dual = torch.linalg.solve(gram + at_images @ at_images.T, labels.flatten())
    omega = at_images.T @ dual
    if not implicit:
        omega = omega.detach()
        dual = torch.linalg.solve(gram, labels.flatten() - at_images @ omega)
    predicted = (at_real @ omega + torch.kron(psi @ phi.T, classes) @ dual).view(-1, 10)
    scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    loss = F.cross_entropy(scale.exp() * predicted, real.targets)
    return float(loss.detach()), list(torch.autograd.grad(loss, [images, labels, scale]))


def test_its_gradient_is_that_through_the_exact_solution(few_digits: dd.TargetData) -> None:
    run = a_run(few_digits)
    wanted_loss, wanted = through_the_solution(run, implicit=True)
    value, found = gradients(run, EXACT)
    assert value == pytest.approx(wanted_loss, rel=1e-10)
    for f, w in zip(found, wanted, strict=True):
        torch.testing.assert_close(f, w, rtol=1e-7, atol=1e-11)
    whole = gradients(a_run(few_digits, micro_batch=50), EXACT)[1]
    torch.testing.assert_close(found[0], whole[0], rtol=1e-8, atol=1e-12)


def test_the_implicit_gradient_is_at_most_as_long_as_the_direct_one(few_digits: dd.TargetData) -> None:
    run = a_run(few_digits)
    (_, total), (_, direct) = (through_the_solution(run, implicit=wanted) for wanted in (True, False))
    found = gradients(run, replace(EXACT, clip=True))[1]
    for part, whole, straight in zip(found[:2], total[:2], direct[:2], strict=True):
        implicit = whole - straight
        shrunk = min(1.0, float(straight.norm() / implicit.norm()))
        torch.testing.assert_close(part, straight + shrunk * implicit, rtol=1e-6, atol=1e-10)
    assert any(float((t - d).norm()) > float(d.norm()) for t, d in zip(total[:2], direct[:2], strict=True))


def test_the_label_margin_is_half_a_class(few_digits: dd.TargetData) -> None:
    run = a_run(few_digits)
    (plain, without), (margined, with_it) = (gradients(run, replace(EXACT, label_margin=m)) for m in (False, True))
    (labels,) = run.examples.groups()["labels"]
    top = labels.detach().sort(dim=1, descending=True).values
    assert plain - margined == pytest.approx(float((top[:, 0] - top[:, 1]).clamp_max(1 / 20).mean()), rel=1e-9)
    torch.testing.assert_close(without[0], with_it[0], rtol=1e-12, atol=0.0)


def quadratic(seed: int = 0, size: int = 6) -> tuple[Tensor, Tensor]:
    root = torch.randn(size, size + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return root[:, 1:] @ root[:, 1:].T + torch.eye(size, dtype=torch.float64), root[:, 0]


def test_conjugate_gradients_solve_in_as_many_steps_as_numbers() -> None:
    matrix, right = quadratic()
    products: list[Tensor] = []

    def product(x: Tensor) -> Tensor:
        products.append(x)
        return matrix @ x

    torch.testing.assert_close(conjugate_gradients(product, right, 6), torch.linalg.solve(matrix, right))
    assert len(products) == 6
    rough = conjugate_gradients(product, right, 6, tolerance=0.5)
    assert len(products) < 12 and float((matrix @ rough - right).norm()) <= 0.5 * float(right.norm())
    assert conjugate_gradients(product, torch.zeros(6), 6).equal(torch.zeros(6))


def test_adam_descends_the_same_function_and_says_how_it_went() -> None:
    matrix, right = quadratic()
    found, verdict = adam_descent(lambda x: matrix @ x, right, 4, 1e-3)
    x = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([x], lr=1e-3)
    for _ in range(4):
        optimiser.zero_grad()
        (0.5 * x @ matrix @ x - right @ x).backward()
        optimiser.step()
    torch.testing.assert_close(found, x.detach())
    assert verdict == FALLS
    assert adam_descent(lambda x: matrix @ x, right, 4, 50.0)[1] == RISES
    torch.testing.assert_close(
        adam_descent(lambda x: matrix @ x, right, 3000, 0.02)[0],
        torch.linalg.solve(matrix, right),
        rtol=1e-3,
        atol=1e-3,
    )


def test_learning_rates_are_raised_until_a_step_rises_and_follow_how_descents_went() -> None:
    """yolky/RCIG distill_dataset.py:207-233, algorithms.py:185-199."""
    matrix, right = quadratic()
    rate = _largest_rate(lambda x: matrix @ x, right, 20, 1e-5)
    verdicts = [adam_descent(lambda x: matrix @ x, right, 20, rate / 0.7 / 1.2**n)[1] for n in (1, 2, 3)]
    assert verdicts[0] != FALLS and verdicts[1:] == [FALLS, FALLS]
    table = {(FALLS,) * 7 + (RISES,) * 2: 1.05, (FALLS,) * 7 + (RISES,) * 3: 0.9, (NEITHER, FALLS): 1.0}
    assert {verdicts: _change(verdicts) for verdicts in table} == table


def test_both_solvers_distil_and_the_state_is_kept(few_digits: dd.TargetData) -> None:
    run = a_run(few_digits, precision="fp32")
    adam = replace(EXACT, solver="adam", solver_steps=5)
    state = adam.start(run)
    list(adam.terms(run, state))
    kept = state.state_dict()
    assert set(kept["rates"]) == {"inner", "inverse"} and min(kept["rates"].values()) > 5e-5
    again = adam.start(run)
    again.load_state_dict(kept)
    assert again.state_dict() == kept


def test_what_does_not_fit(few_digits: dd.TargetData) -> None:
    with pytest.raises(UnknownNameError, match="adam"):
        ConvexifiedTraining(solver="newton")
    with pytest.raises(SettingsError, match="2 steps"):
        ConvexifiedTraining(solver="adam", solver_steps=1)
    with pytest.raises(SettingsError, match="positive"):
        ConvexifiedTraining(ridge=0.0)
    with pytest.raises(UnsupportedError, match="one at a time"):
        dd.Method(Pixels(ipc=1), ConvexifiedTraining(), FreshNetworks(ConvNet(), count=2), dd.Optimiser("adam"), 1)


def test_labels_that_are_classes_are_regressed_centred(few_digits: dd.TargetData) -> None:
    hard = started(few_digits, factorization=Pixels(ipc=1), networks=SMALL)
    soft = a_run(few_digits)
    with torch.no_grad():
        soft.examples.groups()["images"][0].copy_(hard.examples.groups()["images"][0])
        soft.examples.groups()["labels"][0].copy_(centred(torch.tensor([0, 1, 7]), 10))
    assert gradients(hard, EXACT)[0] == pytest.approx(gradients(soft, EXACT)[0], rel=1e-9)
