"""No bit of an answer tells which sum lies under its noise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.stats import binom
from torch import nn

import ddcore as dd
from ddapps.privacy import NO_LEDGER, RepeatableEntropy, SystemEntropy, privatize
from ddapps.privacy.audit.low_bits import grid_share, low_bits_guess, rights
from ddapps.privacy.mechanism import NoisySum, give
from ddcore.parts import Split
from ddcore.sources import FixedNetworks
from tests.privacy.asking import bound, network, plain_views, weights

TRIALS = 300
CHANCE = int(binom.isf(1e-6, TRIALS, 0.5))
"""More right guesses than this happen once in a million where the attack is at chance."""


def naive(vectors: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    return vectors.double().sum(dim=0) + noise.double()


def test_the_attack_reads_noise_that_was_drawn_as_floats() -> None:
    """So that it would be seen if it worked."""
    random = torch.Generator().manual_seed(0)
    guesses, truths = [], []
    for trial in range(TRIALS):
        vectors = torch.randn(3, 20, generator=random, dtype=torch.float64)
        there = trial % 2
        answer = naive(vectors[: 2 + there], 100 * torch.randn(20, generator=random))
        guesses.append(low_bits_guess(answer, [vectors[:2].sum(dim=0), vectors.sum(dim=0)]))
        truths.append(there)
    assert rights(guesses, truths) == (TRIALS, TRIALS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_at_the_sum_it_is_at_chance(dtype: torch.dtype) -> None:
    random, entropy = torch.Generator().manual_seed(0), SystemEntropy()
    guesses, truths = [], []
    for trial in range(TRIALS):
        vectors = torch.randn(3, 20, generator=random, dtype=torch.float64).to(dtype)
        there = trial % 2
        parameter = nn.Parameter(torch.zeros(20, dtype=dtype))
        summing = NoisySum([parameter], 2.0, 50.0, entropy)
        give(parameter, vectors[: 2 + there])
        summing.add(2 + there)
        (answer,) = summing.release()
        guesses.append(low_bits_guess(answer, [sum_of(vectors[:2]), sum_of(vectors)]))
        truths.append(there)
    assert rights(guesses, truths)[0] <= CHANCE


def sum_of(vectors: torch.Tensor) -> torch.Tensor:
    """Return what the mechanism adds its noise to, as who knows all records can compute it."""
    parameter = nn.Parameter(torch.zeros(vectors.shape[1:], dtype=torch.float64))
    summing = NoisySum([parameter], 0.0, 50.0, SystemEntropy())
    give(parameter, vectors.double())
    summing.add(len(vectors))
    (released,) = summing.release()
    return released


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
@pytest.mark.parametrize("asked", ["features", "gradients"])
def test_at_the_signal_it_is_at_chance(private_digits: dd.TargetData, asked: str, precision: str) -> None:
    """The attacker knows all records but one, the network, and every public constant."""
    net = network(private_digits)
    if precision == "fp32":
        net.float()
    train = private_digits.train
    worlds = [replace(private_digits, train=Split(train.inputs[hidden:], train.targets[hidden:])) for hidden in (1, 0)]
    constants = {"sample_rate": 1.0, "max_grad_norm": 5.0, "counts": private_digits.counts(), "precision": precision}

    def answer(world: int, noise: float, entropy: RepeatableEntropy | SystemEntropy) -> torch.Tensor:
        signal = bound(worlds[world], noise_multiplier=noise, entropy=entropy, **constants)
        views = plain_views(private_digits)
        if asked == "features":
            return next(iter(signal.features(net, [[0, 1, 7]], views, 0))).mean
        (found,) = signal.gradients(net, [[0, 1, 7]], views, 0, weights(net)[-1:])
        return found.tensors[0]

    exact = [answer(world, 0.0, RepeatableEntropy(0)) for world in (0, 1)]
    assert not torch.equal(*exact)
    entropy, truths = SystemEntropy(), [trial % 2 for trial in range(60)]
    guesses = [low_bits_guess(answer(world, 3.0, entropy), exact) for world in truths]
    assert rights(guesses, truths)[0] <= int(binom.isf(1e-6, 60, 0.5))


def test_from_a_published_summary_it_is_at_chance(private_digits: dd.TargetData) -> None:
    """Linear features, one step, and a large clipping norm: the answer stands in the images."""
    plain = FixedNetworks((nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double(),))
    method = dd.Method(
        dd.images.Pixels(ipc=1, init="noise"),
        dd.matching.DistributionMatching(),
        plain,
        dd.Optimiser("sgd", learning_rate=0.5, momentum=0.0),
        steps=1,
        precision="fp64",
    )
    train = private_digits.train
    worlds = [replace(private_digits, train=Split(train.inputs[hidden:], train.targets[hidden:])) for hidden in (1, 0)]
    counts = private_digits.counts()
    private = privatize(
        method, epsilon=1.0, delta=1e-3, max_grad_norm=20.0, sample_rate=1.0, counts=counts, accountant="rdp"
    )
    start = dd.distill(private_digits, method, steps=0).tensors(dtype=torch.float64)[0]
    normalised = [private_digits.spec.normalisation.apply(w.train.inputs, torch.float64).flatten(1) for w in worlds]
    zeros = [w.train.targets == 0 for w in worlds]
    sums = [rows[mine].sum(dim=0) for rows, mine in zip(normalised, zeros, strict=True)]
    truths = [trial % 2 for trial in range(40)]
    guesses = []
    for world in truths:
        images = private.distill(worlds[world], ledger=NO_LEDGER).tensors(dtype=torch.float64)[0]
        moved = (start[0] - images[0]).flatten()  # x - lr 2 (x - answer)
        answer = start[0].flatten() - moved / (2 * 0.5)
        guesses.append(low_bits_guess(answer * counts[0], sums))
    assert rights(guesses, truths)[0] <= int(binom.isf(1e-6, 40, 0.5))


def test_floats_on_the_grid_are_told_from_others() -> None:
    numbers = torch.randn(100, dtype=torch.float64)
    assert grid_share(numbers) < 0.05 and grid_share(numbers.float().double()) == 1.0
