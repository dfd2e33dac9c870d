"""Statistics of a teacher's BatchNorms: the loss is that of the formula, and falls."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import ddcore as dd
from ddcore.errors import TeacherError
from ddcore.images import Pixels
from ddcore.matching import StatisticMatching
from ddcore.matching.synthetic import rank_by_rank
from ddcore.sources import Teachers
from tests.running import parameter_gradient, started, untrained_teacher


def by_hand(run: dd.Run, matching: StatisticMatching) -> Tensor:
    """Go through the network layer by layer, batch by batch."""
    (network,) = run.networks.current()
    features, head = network.module
    total = torch.zeros((), dtype=torch.float64)
    order = rank_by_rank(run.examples)
    for indices in order.split(matching.batch_size):
        batch = run.examples.decode(indices)
        x, terms = batch.inputs, []
        for layer in features:
            if isinstance(layer, torch.nn.BatchNorm2d):
                channels = x.transpose(0, 1).flatten(1)
                mean = channels.mean(dim=1)
                variance = (channels - mean.unsqueeze(1)).square().mean(dim=1)
                assert layer.running_mean is not None and layer.running_var is not None
                terms.append(
                    (mean - layer.running_mean).square().sum().sqrt()
                    + (variance - layer.running_var).square().sum().sqrt()
                )
            x = layer(x)
        statistics = matching.first * terms[0] + sum(terms[1:])
        total = total + F.cross_entropy(head(x), batch.targets) + matching.weight * statistics
    return total


def run_of(few_digits: dd.TargetData) -> dd.Run:
    teachers = Teachers((untrained_teacher(few_digits.spec),))
    return started(few_digits, factorization=Pixels(ipc={0: 3, 1: 2, 7: 2}), networks=teachers)


def test_the_loss_and_its_gradient_are_those_of_the_formula(few_digits: dd.TargetData) -> None:
    run, matching = run_of(few_digits), StatisticMatching(weight=0.3, first=5.0, batch_size=3)
    terms = list(matching.terms(run, matching.start(run)))
    assert len(terms) == 3, "seven examples are three batches"
    torch.testing.assert_close(sum(term.loss for term in terms), by_hand(run, matching))
    gradient = parameter_gradient(run, matching)
    (images,) = run.examples.groups()["images"]
    (wanted,) = torch.autograd.grad(by_hand(run, matching), images)
    torch.testing.assert_close(gradient, wanted.flatten())


def test_a_batch_has_one_of_every_class_first(few_digits: dd.TargetData) -> None:
    run = run_of(few_digits)
    order = rank_by_rank(run.examples)
    owners = run.examples.decode(order).targets.tolist()
    assert owners == [0, 1, 7, 0, 1, 7, 0]
    assert sorted(order.tolist()) == list(range(7))


def test_matching_brings_the_statistics_of_noise_to_the_teachers(few_digits: dd.TargetData) -> None:
    method = dd.methods.sre2l(ipc=8, preset="cpu").with_teachers(untrained_teacher(few_digits.spec))
    method = replace(method, factorization=Pixels(ipc=8, init="noise"), labels=None, steps=40)
    method = dd.override(method, "optimiser.learning_rate", 0.1)
    losses: list[float] = []
    dd.distill(few_digits, method, callbacks=[lambda progress: losses.append(float(progress.loss))])
    assert losses[-1] < 0.8 * losses[0]


def test_no_real_example_is_asked_for(few_digits: dd.TargetData) -> None:
    method = dd.methods.sre2l(ipc=2).with_teachers(untrained_teacher(few_digits.spec))
    assert method.asks() == {"teacher"}


def test_a_teacher_without_batch_norm_is_refused_before_work(few_digits: dd.TargetData) -> None:
    method = dd.methods.sre2l(ipc=2, preset="cpu")
    with pytest.raises(TeacherError, match="a teacher is needed"):
        dd.distill(few_digits, method)
    with pytest.raises(TeacherError, match=r"no BatchNorm.*convnet\(norm=batch\)"):
        dd.distill(few_digits, method.with_teachers(untrained_teacher(few_digits.spec, norm="instance")))


def test_teachers_take_turns(few_digits: dd.TargetData) -> None:
    teachers = tuple(untrained_teacher(few_digits.spec, norm) for norm in ("batch", "none"))
    networks = started(few_digits, networks=Teachers(teachers)).networks
    seen = []
    for _ in range(4):
        (network,) = networks.current()
        seen.append(sum(1 for _ in network.module.buffers()) > 0)
        networks.advance()
    assert seen == [True, False, True, False]
