"""Further settings of the outer optimiser: clipping, schedules, optimisers that torch lacks."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from torch import nn

import ddcore as dd
from ddcore.errors import MissingExtraError, SettingsError, UnknownNameError
from ddcore.images import ConvNet
from ddcore.matching import DistributionMatching
from ddcore.sources import FreshNetworks


def test_a_cosine_ends_at_zero_and_drops_multiply_it() -> None:
    cosine = dd.Optimiser(schedule="cosine")
    assert [cosine.factor_at(step, 4) for step in range(5)] == pytest.approx(
        [1.0, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125), 0.0]
    )
    assert dd.Optimiser(schedule="cosine", drops=(0.5,), drop=0.1).factor_at(2, 4) == pytest.approx(0.05)
    assert dd.Optimiser().factor_at(3, 4) == 1.0


def test_a_clipped_step_has_at_most_that_length(few_digits: dd.TargetData) -> None:
    lengths = {}
    for clip in (None, 1e-3, 1e6):
        method = dd.Method(
            factorization=dd.images.Pixels(ipc=1),
            matching=DistributionMatching(real_batch=5),
            networks=FreshNetworks(ConvNet(width=4)),
            optimiser=dd.Optimiser("sgd", learning_rate=1.0, clip=clip),
        )
        start = dd.distill(few_digits, method).tensors()[0]
        lengths[clip] = float((dd.distill(few_digits, method, steps=1).tensors()[0] - start).norm())
    assert lengths[1e-3] == pytest.approx(1e-3, rel=1e-3)
    assert lengths[None] == lengths[1e6] > 2e-3


def test_a_cosine_may_end_above_zero() -> None:
    cosine = dd.Optimiser(schedule="cosine", final=0.1)
    # alpha + (1 - alpha) (1 + cos(pi t / T)) / 2
    assert [cosine.factor_at(step, 2) for step in range(3)] == pytest.approx([1.0, 0.55, 0.1])


def test_groups_may_have_momenta_of_their_own() -> None:
    images, labels = (nn.Parameter(torch.zeros(1)) for _ in range(2))
    built = dd.Optimiser(learning_rate=1.0, momentum=0.5, group_momenta={"labels": 0.9}).build(
        {"images": [images], "labels": [labels]}
    )
    for gradient in (1.0, 0.0):
        images.grad, labels.grad = (torch.full((1,), gradient) for _ in range(2))
        built.step()
    assert (float(images.detach()), float(labels.detach())) == pytest.approx((-1.5, -1.9))
    with pytest.raises(SettingsError, match="no parameter group"):
        dd.Optimiser(group_momenta={"words": 0.1}).build({"images": [images]})


@pytest.mark.parametrize("size", [1.0, 550.0])
def test_lamb_is_that_of_optax(size: float) -> None:
    """Written out from optax 0.1.3, times the learning rate.

    scale_by_adam, scale_by_trust_ratio with min_norm 0 and eps 0.
    """
    random = np.random.default_rng(0)
    start = random.normal(size=30)
    weights = start * size / np.linalg.norm(start)
    gradients = random.normal(size=(5, 30)) * 1e-5
    parameter = nn.Parameter(torch.from_numpy(weights.copy()))
    lamb = dd.Optimiser("lamb", learning_rate=0.1).build({"images": [parameter]})
    mean, square = np.zeros(30), np.zeros(30)
    for t, gradient in enumerate(gradients, start=1):
        parameter.grad = torch.from_numpy(gradient.copy())
        lamb.step()
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        update = (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-6)
        step = 0.1 * np.linalg.norm(weights) / np.linalg.norm(update) * update
        weights = weights - step
        assert np.linalg.norm(step) == pytest.approx(0.1 * np.linalg.norm(weights + step), rel=1e-12)
        np.testing.assert_allclose(parameter.detach().numpy(), weights, rtol=1e-10, atol=1e-12 * size)


def test_lamb_moves_what_is_zero_by_adams_step() -> None:
    parameter = nn.Parameter(torch.zeros(3))
    parameter.grad = torch.ones(3)
    dd.Optimiser("lamb", learning_rate=0.1).build({"images": [parameter]}).step()
    assert torch.allclose(parameter.detach(), torch.full((3,), -0.1), atol=1e-6)


@pytest.mark.parametrize("kind", ["adabelief", "lamb"])
def test_optimisers_that_torch_lacks_descend_and_keep_a_rate_for_every_group(kind: str) -> None:
    images, labels = (nn.Parameter(torch.full((4,), 2.0)) for _ in range(2))
    built = dd.Optimiser(kind, learning_rate=0.01, group_learning_rates={"labels": 0.001}).build(
        {"images": [images], "labels": [labels]}
    )
    for _ in range(5):
        built.zero_grad()
        (images.square().sum() + labels.square().sum()).backward()
        built.step()
    assert 2.0 - float(labels.detach()[0]) == pytest.approx((2.0 - float(images.detach()[0])) / 10, rel=0.1)
    assert float(images.detach()[0]) < 1.97


def test_a_missing_extra_and_bad_settings_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(MissingExtraError, match=r"\[optimisers\]"):
        dd.Optimiser("adabelief").build({"images": [nn.Parameter(torch.zeros(1))]})
    with pytest.raises(UnknownNameError, match="cosine"):
        dd.Optimiser(schedule="linear")
    with pytest.raises(SettingsError, match="clip"):
        dd.Optimiser(clip=0.0)
