from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import ddcore as dd
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.images import ConvNet, Pixels, SiameseAugmentation
from ddcore.matching import FeatureAlignment
from ddcore.matching.distribution.distances import centroid_cross_entropy
from ddcore.sources import FixedNetworks, FreshNetworks
from tests.running import parameter_gradient, started


def test_the_discrimination_term_equals_its_formula() -> None:
    features, centroids = torch.randn(5, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    targets = [0, 3, 1, 1, 2]
    expected = 0.0
    for row, target in zip(features.tolist(), targets, strict=True):
        scores = [sum(a * b for a, b in zip(row, c, strict=True)) for c in centroids.tolist()]
        expected -= scores[target] - math.log(sum(map(math.exp, scores)))
    found = float(centroid_cross_entropy(features, centroids, torch.tensor(targets)))
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_loss_equals_equation_12_written_out(few_digits: dd.TargetData) -> None:
    run = started(few_digits, networks=FreshNetworks(ConvNet(width=6, depth=2)))
    (network,) = run.networks.current()
    real = [
        few_digits.spec.normalisation.apply(few_digits.of_classes([c]).train.inputs, torch.float64) for c in (0, 1, 7)
    ]
    synthetic = [run.examples.decode(run.examples.draw([c])).inputs.detach() for c in (0, 1, 7)]
    first, second = (n for n, m in network.module.named_modules() if isinstance(m, nn.ReLU))
    expected = 0.0
    for weight, layer in ((0.1, first), (1.0, second), (2.0, "0.8")):
        for r, s in zip(real, synthetic, strict=True):
            (a,), (b,) = network.layers(r, [layer]), network.layers(s, [layer])
            expected += weight * float((a.mean(0) - b.mean(0)).square().sum())
    centres = torch.stack([network.features(s).mean(0) for s in synthetic])
    for i, r in enumerate(real):
        scores = network.features(r) @ centres.T
        expected -= 0.01 * float((scores - scores.logsumexp(1, keepdim=True))[:, i].sum())
    matching = FeatureAlignment(real_batch=1000)
    (term,) = matching.terms(run, matching.start(run))
    assert float(term.loss.detach()) == pytest.approx(expected, rel=1e-9)


def test_gradients_do_not_depend_on_micro_batches(few_digits: dd.TargetData) -> None:
    found = []
    for micro_batch in (1, 7, 1000):
        run = started(few_digits, augmentation=SiameseAugmentation(), micro_batch=micro_batch)
        found.append(parameter_gradient(run, FeatureAlignment(real_batch=20)))
    assert torch.allclose(found[0], found[2], atol=1e-9)
    assert torch.allclose(found[1], found[2], atol=1e-9)


def test_classes_of_different_sizes_weigh_the_same(few_digits: dd.TargetData) -> None:
    """A class's mean is over its own examples, however many there are on either side."""
    run = started(few_digits, factorization=Pixels(ipc={0: 1, 7: 4}, init="noise"))
    matching = FeatureAlignment(discrimination=0.0, early_weight=0.0, last_weight=0.0, feature_weight=1.0)
    (term,) = matching.terms(run, matching.start(run))
    (network,) = run.networks.current()
    expected = 0.0
    for c in (0, 7):
        real = few_digits.spec.normalisation.apply(few_digits.of_classes([c]).train.inputs, torch.float64)
        synthetic = run.examples.decode(run.examples.draw([c])).inputs.detach()
        expected += float((network.features(real).mean(0) - network.features(synthetic).mean(0)).square().sum())
    assert float(term.loss.detach()) == pytest.approx(expected, rel=1e-9)


def test_networks_without_activation_modules_and_bad_settings_are_refused(few_digits: dd.TargetData) -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    run = started(few_digits, networks=FixedNetworks((linear,)))
    with pytest.raises(UnsupportedError, match="activation"):
        FeatureAlignment().start(run)
    with pytest.raises(SettingsError):
        FeatureAlignment(real_batch=0)
    with pytest.raises(SettingsError):
        FeatureAlignment(discrimination=-1)
