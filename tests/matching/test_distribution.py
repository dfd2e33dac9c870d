from __future__ import annotations

import pytest
import torch

import ddcore as dd
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.images import ConvNet, Pixels, SiameseAugmentation
from ddcore.matching import DistributionMatching
from ddcore.matching.distribution.distances import squared_mean_difference
from ddcore.parts import NoAugmentation
from ddcore.sources import FixedNetworks, FreshNetworks
from tests.running import parameter_gradient, started


def test_the_distance_is_the_sum_of_squared_differences() -> None:
    a, b = torch.randn(4, 7, dtype=torch.float64), torch.randn(4, 7, dtype=torch.float64)
    by_hand = sum((float(a[c, j]) - float(b[c, j])) ** 2 for c in range(4) for j in range(7))
    assert float(squared_mean_difference(a, b)) == pytest.approx(by_hand, rel=1e-12)


def test_the_terms_of_a_step_add_up_to_equation_11_written_out(few_digits: dd.TargetData) -> None:
    run = started(few_digits)
    matching = DistributionMatching(real_batch=1000)
    (network,) = run.networks.current()
    pixels = few_digits.spec.normalisation
    expected = 0.0
    for class_id in few_digits.spec.classes:
        real = pixels.apply(few_digits.of_classes([class_id]).train.inputs, torch.float64)
        synthetic = run.examples.decode(run.examples.draw([class_id])).inputs
        difference = network.features(real).mean(0) - network.features(synthetic).mean(0)
        expected += float(difference.detach().square().sum())
    terms = list(matching.terms(run, matching.start(run)))
    assert sum(float(t.loss.detach()) for t in terms) == pytest.approx(expected, rel=1e-10)
    assert [c for t in terms for c in t.classes or ()] == [0, 1, 7]


@pytest.mark.parametrize("augment", [False, True])
def test_gradients_do_not_depend_on_how_classes_are_grouped(few_digits: dd.TargetData, augment: bool) -> None:
    augmentation = SiameseAugmentation() if augment else NoAugmentation()
    gradients = []
    for micro_batch in (1, 6, 1000):
        run = started(few_digits, micro_batch=micro_batch, augmentation=augmentation)
        gradients.append(parameter_gradient(run, DistributionMatching(real_batch=20)))
    assert torch.allclose(gradients[0], gradients[1], atol=1e-12)
    assert torch.allclose(gradients[0], gradients[2], atol=1e-12)


def test_pixel_gradients_are_correct() -> None:
    network = ConvNet(width=3, depth=1, activation="swish").build((1, 4, 4), 2, seed=0, dtype=torch.float64)
    real = torch.randn(1, 3 * 2 * 2, dtype=torch.float64)
    images = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: squared_mean_difference(network.features(x).mean(0, keepdim=True), real), (images,)
    )


def test_matching_all_real_examples_leaves_no_loss(few_digits: dd.TargetData) -> None:
    run = started(few_digits, factorization=Pixels(ipc=40, init="noise"))
    with torch.no_grad():
        (parameter,) = run.examples.groups()["images"]
        parameter.copy_(torch.cat([run.real.batch([c], 40, "fill").inputs for c in (0, 1, 7)]))
    matching = DistributionMatching()
    assert sum(float(t.loss.detach()) for t in matching.terms(run, matching.start(run))) < 1e-20


def test_bad_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match="real_batch"):
        DistributionMatching(real_batch=0)
    with pytest.raises(SettingsError, match="soft labels"):
        dd.Method(Pixels(labels="soft"), DistributionMatching(), dd.sources.FreshNetworks(), steps=1)


def test_batch_norm_is_frozen_or_refused(few_digits: dd.TargetData) -> None:
    architecture = ConvNet(width=4, norm="batch")
    gradients = [
        parameter_gradient(
            started(few_digits, networks=FreshNetworks(architecture), micro_batch=micro_batch), DistributionMatching()
        )
        for micro_batch in (2, 500)
    ]
    assert torch.allclose(*gradients, atol=1e-12), "statistics of the batch at hand leak into the features"
    training = architecture.build((1, 8, 8), 10, seed=0).module
    with pytest.raises(UnsupportedError, match="BatchNorm"):
        started(few_digits, networks=FixedNetworks((training,)))
