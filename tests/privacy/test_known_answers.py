"""Comparisons whose right answer is known.

A baseline that must win, a split that betrays itself, results that are recomputed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch

import ddcore as dd
from ddapps import privacy
from ddapps.privacy import compare
from ddapps.privacy.baselines import PrivateTraining, dp_sgd, mean_features, noise
from ddapps.privacy.baselines.mean_features import RandomFourierFeatures
from ddcore.evaluation import Protocol
from ddcore.ground import derive_seed
from ddcore.parts import Split, as_architecture
from ddcore.training import Training

BRIEF = Protocol("brief", Training(epochs=40, learning_rate=0.05, batch_size=30))
NETWORK = "mlp(width=32,depth=1)"
WEAK = {"epsilon": 100.0, "delta": 1e-3}
"""A budget at which noise hardly matters, so that what is right is learned."""
FEW_STEPS = PrivateTraining(steps=10, sample_rate=1.0)


@pytest.fixture(scope="module")
def betraying(private_digits: dd.TargetData) -> dd.TargetData:
    """Training and validation examples have their labels.

    On the test split 0 is called 1, 1 is called 7, 7 is called 0.
    """
    assert private_digits.test is not None
    other = torch.tensor([1, 7, 0, 0, 0, 0, 0, 0])
    test = Split(private_digits.test.inputs, other[private_digits.test.targets])
    return replace(private_digits, validation=private_digits.test, test=test)


def test_every_row_is_of_the_split_that_it_says(betraying: dd.TargetData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(compare.__globals__, "mean_features", partial(mean_features, features=200, steps=200))
    settings = {"ipc": 1, "runs": 1, "protocol": BRIEF, "network": NETWORK, "training": FEW_STEPS, **WEAK}
    names = ("dp_sgd", "mean_features")
    on_validation = compare(betraying, names, split="validation", **settings)  # type: ignore[arg-type]
    on_test = compare(betraying, names, **settings)  # type: ignore[arg-type]
    for right, wrong in zip(on_validation.rows, on_test.rows, strict=True):
        assert min(right.accuracies) > 80, right
        assert max(wrong.accuracies) < 20, wrong
        assert right.epsilon == wrong.epsilon and 0.9 * WEAK["epsilon"] < right.epsilon <= WEAK["epsilon"]


def test_noise_costs_nothing_and_is_what_its_parts_give(private_digits: dd.TargetData) -> None:
    """And what is private wins against it."""
    runs, settings = 2, {"ipc": 1, "protocol": BRIEF, "network": NETWORK, "training": FEW_STEPS, **WEAK}
    found = compare(private_digits, ("noise", "dp_sgd"), runs=runs, seed=3, **settings)  # type: ignore[arg-type]
    for_nothing, private = found.rows
    expected = []
    for seed in range(3, 3 + runs):
        summary = dd.distill(private_digits, noise(1), seed=seed)
        report = dd.evaluate(summary, private_digits, networks=NETWORK, protocol=BRIEF, runs=1, seed=seed)
        expected.append(report.results[0].mean)
    assert list(for_nothing.accuracies) == pytest.approx(expected, abs=1e-9)
    assert expected[0] != expected[1], "every run is made anew"
    assert for_nothing.epsilon == 0
    assert min(private.accuracies) > max(for_nothing.accuracies) + 10
    entry = found.to_json()["results"][0]
    assert (entry["mean"], entry["runs"]) == (pytest.approx(sum(expected) / runs, abs=0.01), runs)
    assert entry["stored_bytes"] == summary.stored_bytes


def test_a_row_has_the_seconds_of_its_own_runs(private_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def hours(line: str) -> None:
        now[0] += 3600 if "noise" in line else 60

    monkeypatch.setattr("ddcore.ground.tally.SAY_SECONDS", 0.0)
    monkeypatch.setitem(compare.__globals__, "time", SimpleNamespace(monotonic=lambda: now[0]))
    brief = replace(BRIEF, training=replace(BRIEF.training, epochs=1))
    settings = {"ipc": 1, "runs": 2, "protocol": brief, "network": "mlp(width=4)", "progress": hours, **WEAK}
    training = PrivateTraining(steps=1, sample_rate=1.0)
    found = compare(private_digits, ("noise", "dp_sgd"), training=training, **settings)  # type: ignore[arg-type]
    assert [row.seconds for row in found.rows] == [7200, 120]


def test_accuracy_counts_right_answers(betraying: dd.TargetData) -> None:
    network = as_architecture(NETWORK).build(betraying.spec.shape, 10, seed=0)
    for split, examples in (("validation", betraying.validation), ("test", betraying.test)):
        assert examples is not None
        with torch.no_grad():
            answers = [int(network(betraying.spec.normalisation.apply(x[None])).argmax()) for x in examples.inputs]
        right = sum(answer == int(target) for answer, target in zip(answers, examples.targets, strict=True))
        assert privacy.accuracy(network, betraying, split) == pytest.approx(100 * right / len(answers))


def test_one_update_of_dp_sgd_has_the_noise_of_its_certificate(private_digits: dd.TargetData) -> None:
    """At a small budget an update is noise.

    Its standard deviation is sigma C / (q |g| m), times the learning rate.
    """
    training = PrivateTraining(steps=1, learning_rate=0.5, max_grad_norm=0.2, sample_rate=0.8)
    network, certificate = dp_sgd(
        private_digits, epsilon=0.2, delta=1e-3, network="convnet(width=8)", training=training, accountant="rdp", seed=4
    )
    ((sigma, rate, answers),) = certificate.queries
    assert (rate, answers, certificate.max_grad_norm, certificate.steps) == (0.8, 1, 0.2, 1)
    start = as_architecture("convnet(width=8)").build(private_digits.spec.shape, 10, seed=derive_seed(4, "weights"))
    moved = torch.cat([(a - b).flatten() for a, b in zip(start.parameters(), network.parameters(), strict=True)])
    smallest = min(private_digits.counts().values())
    expected = 0.5 * sigma * 0.2 / (0.8 * 3 * smallest)
    assert float(moved.detach().std()) == pytest.approx(expected, rel=5 / (2 * len(moved)) ** 0.5)


def test_dp_sgd_learns_digits() -> None:
    digits = dd.load_data("digits", normalisation=privacy.PUBLIC_NORMALISATION)
    network, certificate = dp_sgd(digits, epsilon=10, delta=1e-4, network="convnet(width=8)", accountant="rdp")
    assert certificate.steps == 50 and 9.9 < certificate.epsilon <= 10
    assert privacy.accuracy(network, digits) > 83, "86 to 89 is usual"


def test_random_features_approximate_the_gaussian_kernel() -> None:
    count, bandwidth = 20_000, 3.0
    module = RandomFourierFeatures((1, 4, 4), 2, count, bandwidth, seed=0)
    inputs = torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    kept: list[torch.Tensor] = []
    module.head.register_forward_hook(lambda _, given, __: kept.append(given[0]))
    module(inputs)
    (features,) = kept
    torch.testing.assert_close(features.norm(dim=1), torch.ones(5))
    kernel = torch.exp(-(torch.cdist(inputs.flatten(1), inputs.flatten(1)) ** 2) / (2 * bandwidth**2))
    torch.testing.assert_close((features @ features.T).detach(), kernel, rtol=0, atol=5 / count**0.5)


def test_mean_features_takes_the_bandwidth_that_it_documents(private_digits: dd.TargetData) -> None:
    """It is three quarters of the root of the 64 pixels.

    So frequencies have standard deviation 1 / 6.
    """
    for settings, expected in (({}, 6.0), ({"bandwidth": 2.0}, 2.0)):
        private = mean_features(private_digits, epsilon=1.0, delta=1e-3, features=1000, **settings)  # type: ignore[arg-type]
        (module,) = private.method.networks.modules  # type: ignore[attr-defined]
        assert float(module.frequencies.std()) == pytest.approx(1 / expected, rel=0.02)
        assert (private.max_grad_norm, private.sample_rate, private.questions) == (1.0, 1.0, 1)


def test_noise_is_standard_normal_and_evenly_labelled(private_digits: dd.TargetData) -> None:
    inputs, targets = dd.distill(private_digits, noise(20), seed=0).tensors()
    assert targets.bincount().tolist() == [20, 20, 0, 0, 0, 0, 0, 20]
    assert abs(float(inputs.mean())) < 5 / inputs.numel() ** 0.5
    assert float(inputs.std()) == pytest.approx(1, abs=5 / (2 * inputs.numel()) ** 0.5)


def test_the_default_clipping_norm_is_the_median_of_public_noise(private_digits: dd.TargetData) -> None:
    """On the network that it is taken from, half of the features of noise are longer.

    On others of that kind it is about half.
    """
    method = dd.methods.dm(ipc=1, preset="cpu").on_networks("convnet(width=8)")
    norm = privacy.privatize(method, epsilon=1.0, delta=1e-3).mechanism(private_digits).max_grad_norm
    shares = []
    for seed in range(6):
        network = as_architecture("convnet(width=8)").build(private_digits.spec.shape, 10, seed=seed).eval()
        images = torch.randn(100, *private_digits.spec.shape, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            shares.append(float((network.features(images).norm(dim=1) > norm).double().mean()))
    assert shares[0] == 0.5
    assert 0.2 < sum(shares) / 6 < 0.8
    by_gradients = privacy.privatize(dd.methods.psg(ipc=1, preset="cpu"), epsilon=1.0, delta=1e-3)
    assert by_gradients.mechanism(private_digits).max_grad_norm == 0.1, "as Chen et al. clip"
