"""Steps that start from stored weights: what a summary holds, and what networks become on it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import ddcore as dd
from ddcore.errors import SettingsError, SummaryFormatError, UnknownNameError, UnsupportedError
from ddcore.evaluation import Protocol
from ddcore.images import ConvNet
from ddcore.training import Training

NETWORK = "convnet(width=3)"


@pytest.fixture(scope="module")
def summary(few_digits: dd.TargetData) -> dd.DataSummary:
    method = dd.override(dd.methods.dd(ipc=1, preset="cpu", start="fixed"), "matching.inner_steps", 6)
    return dd.distill(few_digits, method.on_networks(NETWORK).with_steps(8), seed=2)


def unnamed() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))


def trained_by_hand(summary: dd.DataSummary) -> torch.nn.Module:
    """Take the recipe's steps from the stored weights, in plain torch."""
    assert summary.initial is not None and summary.recipe.steps is not None
    module = ConvNet(width=3).build((1, 8, 8), 10, seed=9).module
    module.load_state_dict(dict(summary.initial.weights))
    inputs, targets = summary.tensors()
    weights = list(module.parameters())
    for rate in summary.recipe.steps.rates:
        gradients = torch.autograd.grad(F.cross_entropy(module(inputs), targets), weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight -= rate * gradient
    return module


def test_evaluation_is_training_by_hand_from_the_stored_weights(
    few_digits: dd.TargetData, summary: dd.DataSummary, tmp_path: Path
) -> None:
    assert few_digits.test is not None
    loaded = dd.DataSummary.load(summary.save(tmp_path / "summary"))
    assert loaded.sha256() == summary.sha256()
    report = dd.evaluate(loaded, few_digits, runs=5)
    (result,) = report.results
    assert (result.network, len(result.values)) == (NETWORK, 1)
    images = few_digits.spec.normalisation.apply(few_digits.test.inputs)
    module = trained_by_hand(loaded)
    with torch.no_grad():
        right = module(images).argmax(dim=1) == few_digits.test.targets
    assert result.mean == pytest.approx(100 * float(right.double().mean()))


def test_every_step_was_for_the_same_weights(few_digits: dd.TargetData) -> None:
    """The first loss of two runs of one seed is that of one network, whatever the step."""
    method = dd.override(dd.methods.dd(ipc=1, preset="cpu", start="fixed"), "matching.inner_steps", 2)
    method = method.on_networks(NETWORK)
    weights = [dd.distill(few_digits, method.with_steps(steps), seed=4).initial for steps in (1, 3)]
    other = dd.distill(few_digits, method.with_steps(1), seed=5).initial
    assert weights[0] is not None and weights[1] is not None and other is not None
    for name, tensor in weights[0].weights.items():
        assert torch.equal(tensor, weights[1].weights[name])
    assert not all(torch.equal(tensor, other.weights[name]) for name, tensor in weights[0].weights.items())


def test_their_bytes_count(summary: dd.DataSummary) -> None:
    numbers = sum(p.numel() for p in ConvNet(width=3).build((1, 8, 8), 10, seed=0).module.parameters())
    bare = replace(summary, initial=None)
    assert summary.stored_bytes - bare.stored_bytes == 4 * numbers
    assert summary.sha256() != bare.sha256()


def test_other_networks_unions_and_names_are_refused(few_digits: dd.TargetData, summary: dd.DataSummary) -> None:
    with pytest.raises(UnsupportedError, match=r"stored weights of convnet\(width=3\)"):
        dd.evaluate(summary, few_digits, networks="convnet(width=4)")
    for recipe in (dd.Recipe(), None):
        with pytest.raises(SettingsError, match="joins no union"):
            dd.concat([summary, summary], recipe=recipe)
    with pytest.raises(UnknownNameError, match="start"):
        dd.methods.dd(preset="paper", start="known")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "convnet(width=4)"}, "weights are not those of"),
        ({"architecture": "convnet(width=9999999999)"}, "too large a network"),
        ({"architecture": "os"}, "unknown network"),
        ({"architecture": 3}, "name their architecture"),
        ({"architecture": NETWORK, "more": 1}, "name their architecture"),
        (None, "does not describe"),
    ],
)
def test_hostile_weights_are_refused(
    summary: dd.DataSummary, tmp_path: Path, change: dict[str, object] | None, message: str
) -> None:
    folder = summary.save(tmp_path / "summary")
    config = json.loads((folder / "config.json").read_text())
    if change is None:
        del config["initial"]
    else:
        config["initial"] = change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(SummaryFormatError, match=message):
        dd.DataSummary.load(folder)


def test_the_loss_that_was_minimised_is_that_of_training_by_hand(few_digits: dd.TargetData) -> None:
    """Step n + 1 reports the loss at the summary that step n left, on all real examples here."""
    method = dd.override(dd.methods.dd(ipc=1, preset="cpu", start="fixed"), "matching.inner_steps", 6)
    method = dd.override(method, "matching.real_batch", 40)
    losses, snapshots = [], []

    def keep(progress: dd.engine.Progress) -> None:
        losses.append(float(progress.loss))
        snapshots.append(progress.snapshot())

    dd.distill(few_digits, method.on_networks(NETWORK).with_steps(4), seed=2, callbacks=[keep])
    images = few_digits.spec.normalisation.apply(few_digits.train.inputs)
    networks = [trained_by_hand(s) for s in snapshots[:-1]]
    with torch.no_grad():
        by_hand = [float(F.cross_entropy(network(images), few_digits.train.targets)) for network in networks]
    assert losses[1:] == pytest.approx(by_hand, rel=1e-4)
    assert len(set(losses)) == 4


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.float64])
def test_weights_of_another_type_are_refused(summary: dd.DataSummary, tmp_path: Path, kind: torch.dtype) -> None:
    assert summary.initial is not None
    name, weight = next(iter(summary.initial.weights.items()))
    initial = replace(summary.initial, weights={**summary.initial.weights, name: weight.to(kind)})
    with pytest.raises(SummaryFormatError, match="must be float32"):
        replace(summary, initial=initial).save(tmp_path / "summary")


def test_the_hash_tells_networks_of_equal_shapes_apart(summary: dd.DataSummary) -> None:
    assert summary.initial is not None
    other = replace(summary.initial, architecture="convnet(width=3,activation=sigmoid)")
    assert replace(summary, initial=other).sha256() != summary.sha256()


@pytest.mark.parametrize("networks", [[NETWORK, "mlp(width=2)"], unnamed], ids=["several", "unnamed"])
def test_what_cannot_be_stored_is_refused_before_any_step(few_digits: dd.TargetData, networks: object) -> None:
    """Of several networks, or of one without a name, a summary could not hold the weights."""
    steps: list[int] = []
    method = dd.methods.dd(ipc=1, preset="cpu", start="fixed").with_steps(1)
    with pytest.raises(UnsupportedError, match="named networks alone"):
        dd.distill(few_digits, method, networks=networks, callbacks=[lambda p: steps.append(p.step)])
    assert not steps


def test_the_approximation_starts_both_networks_from_the_stored_weights(
    few_digits: dd.TargetData, summary: dd.DataSummary
) -> None:
    """Steps too small to move a weight leave equal networks, if they began as one."""
    assert summary.recipe.steps is not None
    still = replace(summary.recipe.steps, rates=(1e-12,))
    resting = replace(summary, recipe=replace(summary.recipe, steps=still))
    training = Training(epochs=1, learning_rate=1e-12)
    found = dd.epsilon_approximation(resting, few_digits, protocol=Protocol("still", training))
    assert found.network == NETWORK
    assert found.epsilon < 1e-5
    with pytest.raises(UnsupportedError, match="stored weights"):
        dd.epsilon_approximation(summary, few_digits, network="convnet(width=4)", protocol=Protocol("still", training))
