"""The outer optimiser's further settings: clipping, schedules, optimisers that torch does not have."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from torch import nn

import ddcore as dd
from ddcore.errors import MissingExtraError, SettingsError, UnknownNameError
from ddcore.matching import DistributionMatching
from ddcore.networks import ConvNet, FreshNetworks


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
            factorization=dd.factorization.Pixels(ipc=1),
            matching=DistributionMatching(real_batch=5),
            networks=FreshNetworks(ConvNet(width=4)),
            optimiser=dd.Optimiser("sgd", learning_rate=1.0, clip=clip),
        )
        start = dd.distill(few_digits, method).tensors()[0]
        lengths[clip] = float((dd.distill(few_digits, method, steps=1).tensors()[0] - start).norm())
    assert lengths[1e-3] == pytest.approx(1e-3, rel=1e-3)
    assert lengths[None] == lengths[1e6] > 2e-3


@pytest.mark.parametrize("kind", ["adabelief", "lamb"])
def test_optimisers_of_the_extra_descend_and_keep_a_rate_for_every_group(kind: str) -> None:
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
    with pytest.raises(MissingExtraError, match=r"ddapps\[optimisers\]"):
        dd.Optimiser("lamb").build({"images": [nn.Parameter(torch.zeros(1))]})
    with pytest.raises(UnknownNameError, match="cosine"):
        dd.Optimiser(schedule="linear")
    with pytest.raises(SettingsError, match="clip"):
        dd.Optimiser(clip=0.0)
