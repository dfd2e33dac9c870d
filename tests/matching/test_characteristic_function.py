from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import ddcore as dd
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.images import ConvNet
from ddcore.matching import CharacteristicFunction, DistributionMatching, FrequencySampler
from ddcore.matching.distribution.characteristic_function import SamplerState, characteristic_distance, waves
from ddcore.parts import NoAugmentation
from ddcore.sources import ExpertSegments, ExpertTraining, FreshNetworks
from tests.engine.test_resume import goes_on
from tests.running import parameter_gradient, started

SAMPLED = CharacteristicFunction(frequencies=6, sampler=FrequencySampler())


def mean_waves(features: Tensor, frequencies: Tensor) -> Tensor:
    return waves(features, frequencies).mean(dim=0, keepdim=True)


def by_hand(first: Tensor, second: Tensor, frequencies: Tensor, amplitude: float, phase: float) -> float:
    """Return the distance in complex arithmetic, one example and one frequency at a time."""
    total = 0.0
    for t in frequencies.numpy():
        a, b = (np.mean([np.exp(1j * float(np.dot(t, f))) for f in x.numpy()]) for x in (first, second))
        turned = 1 - math.cos(np.angle(a) - np.angle(b))
        total += math.sqrt(amplitude * (abs(a) - abs(b)) ** 2 + phase * 2 * abs(a) * abs(b) * turned)
    return total / len(frequencies)


@pytest.mark.parametrize(("amplitude", "phase"), [(0.5, 0.5), (0.9, 0.1), (0.1, 0.9), (1.0, 0.0), (0.0, 1.0)])
def test_the_distance_is_that_of_complex_numbers(amplitude: float, phase: float) -> None:
    random = torch.Generator().manual_seed(0)
    first, second, frequencies = (torch.randn(n, 4, generator=random, dtype=torch.float64) for n in (5, 7, 9))
    found = characteristic_distance(mean_waves(first, frequencies), mean_waves(second, frequencies), amplitude, phase)
    assert float(found) == pytest.approx(by_hand(first, second, frequencies, amplitude, phase), rel=1e-9)


def test_it_is_zero_for_equal_sets_alone_and_its_gradient_stays_finite() -> None:
    features = torch.randn(6, 4, dtype=torch.float64)
    frequencies = torch.randn(9, 4, dtype=torch.float64)
    same = features.clone().requires_grad_()
    found = characteristic_distance(mean_waves(same, frequencies), mean_waves(features, frequencies), 0.7, 0.3)
    found.backward()
    assert float(found.detach()) < 1e-8 and same.grad is not None and bool(torch.isfinite(same.grad).all())
    # Equal means do not hide other differences: two points, and their middle twice.
    pair = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    middle, some = torch.zeros(2, 2, dtype=torch.float64), torch.randn(9, 2, dtype=torch.float64)
    assert float(characteristic_distance(mean_waves(pair, some), mean_waves(middle, some), 0.5, 0.5)) > 0.01


def test_low_frequencies_see_the_difference_of_means() -> None:
    # Phi(eu) = 1 + ie <u, mean> + O(e^2), so the distance is
    # e sqrt(beta) |<u, difference>| + O(e^2).
    # Its mean over standard normal u is e sqrt(2 beta / pi) times the length of the difference.
    random = torch.Generator().manual_seed(0)
    first, second = (torch.randn(n, 3, generator=random, dtype=torch.float64) for n in (5, 7))
    directions = torch.randn(200_000, 3, generator=random, dtype=torch.float64)
    difference = first.mean(0) - second.mean(0)
    small = 1e-4
    found = float(
        characteristic_distance(mean_waves(first, small * directions), mean_waves(second, small * directions), 0.8, 0.3)
    )
    exact = small * math.sqrt(0.3) * float((directions @ difference).abs().mean())
    assert found == pytest.approx(exact, rel=1e-3)
    assert found == pytest.approx(small * math.sqrt(2 * 0.3 / math.pi) * float(difference.norm()), rel=0.01)


def test_a_step_compares_every_class_at_the_same_frequencies(few_digits: dd.TargetData) -> None:
    distance = CharacteristicFunction(frequencies=8, amplitude=0.7, phase=0.3, weight=3.0)
    run = started(few_digits)
    matching = DistributionMatching(real_batch=1000, distance=distance)
    (network,) = run.networks.current()
    frequencies = torch.randn(8, network.feature_width, generator=run.generator("frequencies")).double()
    expected = 0.0
    for class_id in few_digits.spec.classes:
        real = few_digits.spec.normalisation.apply(few_digits.of_classes([class_id]).train.inputs, torch.float64)
        synthetic = run.examples.decode(run.examples.draw([class_id])).inputs
        sets = [network.features(x).detach() for x in (real, synthetic)]
        expected += 3 * by_hand(*(f / f.norm(dim=1, keepdim=True) for f in sets), frequencies, 0.7, 0.3)
    losses = [float(term.loss.detach()) for term in matching.terms(run, matching.start(run))]
    assert sum(losses) == pytest.approx(expected, rel=1e-9)
    assert network.features(synthetic).shape[1] == network.feature_width, "features are as they were afterwards"


def test_a_sampler_asks_for_examples_and_gives_the_same_gradient(few_digits: dd.TargetData) -> None:
    gradients = []
    for micro_batch in (2, 500):
        run = started(few_digits, micro_batch=micro_batch)
        gradients.append(parameter_gradient(run, DistributionMatching(real_batch=20, distance=SAMPLED)))
    assert torch.allclose(*gradients, atol=1e-12) and float(gradients[0].norm()) > 0
    assert DistributionMatching(distance=SAMPLED).asks() == {"batch"}
    assert DistributionMatching(distance=CharacteristicFunction()).asks() == {"features"}


def test_the_sampler_ascends_what_examples_descend(few_digits: dd.TargetData) -> None:
    run = started(few_digits, micro_batch=500)
    matching = DistributionMatching(real_batch=40, distance=SAMPLED)
    state = matching.start(run)
    assert isinstance(state, SamplerState)

    def loss() -> Tensor:
        return torch.stack([term.loss for term in matching.terms(run, state)]).sum()

    (images,) = run.examples.groups()["images"]
    sampler = state.groups()["frequencies"]
    before = loss()
    before.backward(inputs=[images, *sampler])
    for moved, sign in (([images], -1), (sampler, 1)):
        kept = [p.detach().clone() for p in moved]
        with torch.no_grad():
            for p in moved:
                assert p.grad is not None
                p -= 1e-3 * p.grad
            after = float(loss().detach())
            for p, old in zip(moved, kept, strict=True):
                p.copy_(old)
        assert (after - float(before.detach())) * sign > 0


def test_a_resumed_run_has_the_sampler_it_had(few_digits: dd.TargetData, tmp_path: Path) -> None:
    method = replace(
        dd.methods.dm(ipc=1, preset="cpu").on_networks("convnet(width=4)").with_steps(5),
        matching=DistributionMatching(real_batch=5, distance=SAMPLED),
        augmentation=NoAugmentation(),
    )
    goes_on(few_digits, tmp_path, method)


def test_mixed_networks_stand_between_start_and_target_and_calibration_takes_the_target(
    few_digits: dd.TargetData,
) -> None:
    training = ExpertTraining(epochs=1, batch_size=60)
    source = ExpertSegments(ConvNet(width=4), length=1, last_start=1, count=1, training=training, mixed=True)
    run = started(few_digits, networks=source)
    run.networks.advance()
    (network,) = run.networks.current()
    start = ExpertSegments(ConvNet(width=4), length=1, last_start=1, count=1, training=training).start(run)
    ends = zip(start.current()[0].parameters(), run.networks.target(), network.parameters(), strict=True)  # type: ignore[attr-defined]
    along = torch.cat([((now - a).flatten() / (b - a).flatten()) for a, b, now in ends if bool((a != b).all())])
    assert float(along.std()) < 1e-3 and 0 < float(along.mean()) < 1
    matching = DistributionMatching(calibration=2.0)
    batch = run.examples.decode()
    with network.holding(run.networks.target()):  # type: ignore[attr-defined]
        losses = torch.nn.functional.cross_entropy(network(batch.inputs), batch.targets, reduction="none")
    # Three examples per class, and classes that are added up.
    terms = list(matching.terms(run, matching.start(run)))
    plain = list(DistributionMatching().terms(run, matching.start(run)))
    extra = sum(float(t.loss.detach()) for t in terms) - sum(float(t.loss.detach()) for t in plain)
    assert extra == pytest.approx(2 * float(losses.detach().sum()) / 3, rel=1e-9)
    with pytest.raises(UnsupportedError, match="calibration"):
        matching.check_networks(FreshNetworks())


def test_bad_settings_are_refused() -> None:
    for bad in ({"frequencies": 0}, {"amplitude": -1.0}, {"amplitude": 0.0, "phase": 0.0}, {"weight": 0.0}):
        with pytest.raises(SettingsError):
            CharacteristicFunction(**bad)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="BatchNorm"):
        CharacteristicFunction(frequencies=1, sampler=FrequencySampler())
