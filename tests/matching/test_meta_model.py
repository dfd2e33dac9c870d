"""Unrolled training as a matching.

Its gradient is held against the definition, its recipe against its own training.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

import ddcore as dd
from ddcore.errors import DivergenceError, SettingsError, SummaryFormatError, UnsupportedError
from ddcore.images import ConvNet, Pixels
from ddcore.matching import StepSizes, UnrolledTraining
from ddcore.parts import NoNetworks, Recipe, Steps
from ddcore.sources import FixedNetworks, FreshNetworks
from ddcore.training import Training, fit
from tests.running import parameter_gradient, started


def test_its_gradient_is_that_of_the_real_loss_after_training(few_digits: dd.TargetData) -> None:
    matching = UnrolledTraining(inner_steps=3, momentum=0.5, step_sizes=StepSizes(0.1), real_batch=5)
    run = started(few_digits, factorization=Pixels(ipc=2, init="noise"))
    found = parameter_gradient(run, matching)
    (network,) = run.networks.current()
    images = run.examples.decode().inputs
    weights = {n: w.detach().clone().requires_grad_() for n, w in network.module.named_parameters()}
    velocity = dict.fromkeys(weights, torch.zeros(()))
    targets = torch.tensor([0, 0, 1, 1, 7, 7])
    for _ in range(3):
        loss = F.cross_entropy(functional_call(network.module, weights, (images,)), targets)
        gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        velocity = {n: 0.5 * velocity[n] + g for n, g in zip(weights, gradients, strict=True)}
        weights = {n: w - 0.1 * velocity[n] for n, w in weights.items()}
    real = run.real.batch([0, 1, 7], 5, "real")
    outer = F.cross_entropy(functional_call(network.module, weights, (real.inputs,)), real.targets)
    (wanted,) = torch.autograd.grad(outer, next(iter(run.examples.groups().values())))
    torch.testing.assert_close(found, wanted.flatten(), rtol=1e-9, atol=1e-12)
    (term,) = matching.terms(run, matching.start(run))
    assert float(term.loss.detach()) == pytest.approx(float(outer.detach()))


def test_a_run_leaves_given_weights_as_they_were(few_digits: dd.TargetData) -> None:
    module = ConvNet(width=4).build((1, 8, 8), 10, seed=3).module
    before = [w.clone() for w in module.parameters()]
    method = dd.Method(
        factorization=Pixels(ipc=1, init="noise"),
        matching=UnrolledTraining(inner_steps=2),
        networks=FixedNetworks((module,)),
        steps=2,
    )
    dd.distill(few_digits, method)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_evaluation_repeats_the_training_that_was_learned(few_digits: dd.TargetData) -> None:
    """The recipe's steps lead a network to the very weights at which distillation tested it."""
    matching = UnrolledTraining(
        inner_steps=5,
        synthetic_batch=1,
        momentum=0.3,
        step_sizes=StepSizes(0.1, "per_step", positive=True),
        real_batch=5,
    )
    method = dd.Method(
        factorization=Pixels(ipc=2, init="noise"),
        matching=matching,
        networks=FreshNetworks(ConvNet(width=4)),
        optimiser=dd.Optimiser("adam", learning_rate=0.05),
        steps=3,
    )
    summary = dd.distill(few_digits, method)
    steps = summary.recipe.steps
    assert steps is not None and len(set(steps.rates)) > 1
    assert summary.stored_bytes == sum(p.nbytes for p in summary.parts) + 5 * 4
    inputs, targets = summary.tensors()
    network = ConvNet(width=4).build((1, 8, 8), 10, seed=11)
    weights = {n: w.detach().clone().requires_grad_() for n, w in network.module.named_parameters()}
    velocity = dict.fromkeys(weights, torch.zeros(()))
    for t, rate in enumerate(steps.rates):
        chosen = torch.tensor([0, 2, 4]) + t % 2
        loss = F.cross_entropy(functional_call(network.module, weights, (inputs[chosen],)), targets[chosen])
        gradients = torch.autograd.grad(loss, list(weights.values()))
        velocity = {n: 0.3 * velocity[n] + g for n, g in zip(weights, gradients, strict=True)}
        weights = {n: (w - rate * velocity[n]).detach().requires_grad_() for n, w in weights.items()}
    fit(
        network,
        lambda i: dd.Batch(inputs[i], targets[i]),
        6,
        Training(),
        generator=torch.Generator(),
        recipe=summary.recipe,
        members=summary.members(),
    )
    for name, weight in network.module.named_parameters():
        torch.testing.assert_close(weight.detach(), weights[name].detach(), rtol=1e-4, atol=1e-6)


def test_a_recipe_with_steps_survives_the_disk(
    few_digits: dd.TargetData, tmp_path_factory: pytest.TempPathFactory
) -> None:
    summary = dd.distill(few_digits, dd.methods.random(ipc=1))
    summary = replace(summary, recipe=Recipe("squared_error", steps=Steps((0.5, 0.25), 1, 0.9)))
    loaded = dd.DataSummary.load(summary.save(tmp_path_factory.mktemp("summary") / "out"))
    assert loaded.recipe == summary.recipe
    assert dd.evaluate(loaded, few_digits, networks=["convnet(width=4)"], runs=1).details["recipe"]["steps"][
        "rates"
    ] == [0.5, 0.25]


def test_a_step_size_that_turns_negative_ends_the_run_and_nothing_is_lost(few_digits: dd.TargetData) -> None:
    method = dd.Method(
        factorization=Pixels(ipc=1, init="noise"),
        matching=UnrolledTraining(inner_steps=2, step_sizes=StepSizes(0.01, "shared"), real_batch=5, order="random"),
        networks=FreshNetworks(ConvNet(width=4)),
        optimiser=dd.Optimiser("sgd", learning_rate=0.01, group_learning_rates={"step_sizes": 1e3}),
        steps=50,
    )
    with pytest.raises(DivergenceError, match="step size of inner training turned to -") as caught:
        dd.distill(few_digits, method)
    assert len(caught.value.summary) == 3
    assert caught.value.summary.recipe.learning_rate is not None


@pytest.mark.parametrize(
    "change",
    [
        {"rates": [True]},
        {"rates": ["0.1"]},
        {"rates": [1e300]},
        {"rates": []},
        {"rates": [-1.0]},
        {"momentum": "0.5"},
        {"per_class": 0},
        {"per_class": 1.5},
        {"rates": [0.1] * 90_000},
    ],
)
def test_a_hostile_recipe_is_refused(few_digits: dd.TargetData, tmp_path: Path, change: dict[str, object]) -> None:
    summary = dd.distill(few_digits, dd.methods.random(ipc=20))
    summary = dd.concat([summary] * 4)
    config = replace(summary, recipe=Recipe(steps=Steps((0.5,), 1))).save(tmp_path / "out") / "config.json"
    content = json.loads(config.read_text())
    content["recipe"]["steps"].update(change)
    config.write_text(json.dumps(content))
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(tmp_path / "out")


def test_a_union_needs_a_recipe_of_its_own(few_digits: dd.TargetData) -> None:
    summary = replace(dd.distill(few_digits, dd.methods.random(ipc=1)), recipe=Recipe(steps=Steps((0.5,), 1)))
    with pytest.raises(SettingsError, match="recipe="):
        dd.concat([summary, summary])
    assert dd.concat([summary, summary], recipe=Recipe()).recipe == Recipe()
    assert dd.concat([summary]).recipe == summary.recipe


def test_the_protocols_augmentation_does_not_touch_learned_steps(few_digits: dd.TargetData) -> None:
    summary = replace(dd.distill(few_digits, dd.methods.random(ipc=2)), recipe=Recipe(steps=Steps((0.1,) * 9, 1)))
    options = {"networks": "convnet(width=4)", "runs": 1}
    quick, augmented = (dd.evaluate(summary, few_digits, protocol=p, **options).results[0] for p in ("quick", "dsa"))
    assert quick.accuracies == augmented.accuracies


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SettingsError, match="augment=False"):
        UnrolledTraining(order="fixed", augment=True)
    with pytest.raises(UnsupportedError, match="one at a time"):
        dd.Method(dd.images.Pixels(), matching=UnrolledTraining(), networks=FreshNetworks(count=2), steps=1)
    with pytest.raises(UnsupportedError, match="needs networks"):
        dd.Method(dd.images.Pixels(), matching=UnrolledTraining(), networks=NoNetworks(), steps=1)
    target = dd.load_data("digits").of_classes([0, 1])
    method = dd.Method(factorization=Pixels(ipc=1), matching=UnrolledTraining(), networks=FreshNetworks(), steps=1)
    norm = torch.nn.BatchNorm1d(64, track_running_stats=False)
    module = torch.nn.Sequential(torch.nn.Flatten(), norm, torch.nn.Linear(64, 10))
    with pytest.raises(UnsupportedError, match="BatchNorm"):
        dd.distill(target, method, networks=lambda: module)
