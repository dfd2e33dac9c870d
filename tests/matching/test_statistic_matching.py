"""Statistics of a teacher's BatchNorms: the loss is that of the formula, and falls."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import ddcore as dd
from ddcore.errors import TeacherError
from ddcore.images import Pixels, RandomResizedCrop
from ddcore.matching import StatisticMatching
from ddcore.matching.distribution.layer_statistics import patch_moments
from ddcore.matching.distribution.statistic_matching import Moments, densification
from ddcore.matching.synthetic import rank_by_rank
from ddcore.parts import Batch
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
    for setting, value in (("optimiser.learning_rate", 0.1), ("matching.weight", 1.0)):
        method = dd.override(method, setting, value)
    losses: list[float] = []
    dd.distill(few_digits, method, callbacks=[lambda progress: losses.append(float(progress.loss))])
    assert losses[-1] < 0.7 * losses[0]


def test_what_convolutions_see_of_the_data_is_measured_exactly(few_digits: dd.TargetData) -> None:
    """Lots of any size give the moments of all real examples in one pass."""
    run = run_of(few_digits)
    (network,) = run.networks.current()
    matching = StatisticMatching(convolutions=True, patch=4)
    layers = matching.layers(network)
    kinds = [type(layer).__name__ for layer in layers]
    assert kinds == ["Conv2d", "BatchNorm2d"] * 2
    measured = matching._of_data(run, network, layers)
    images = run.real.batch([0, 1, 7], 40, "all").inputs
    x = images
    for layer in network.module[0]:
        if layer in layers:
            at = layers.index(layer)
            if isinstance(layer, torch.nn.BatchNorm2d):
                wanted = [layer.running_mean, layer.running_var]
            else:
                patches = F.unfold(x.reshape(-1, 1, *x.shape[2:]), 4, stride=4)
                patches = patches.transpose(0, 2).flatten(1)
                channels = x.transpose(0, 1).flatten(1)
                wanted = [m for t in (channels, patches) for m in (t.mean(dim=1), t.var(dim=1, unbiased=False))]
            for found, value in zip(measured[at], wanted, strict=True):
                torch.testing.assert_close(found, value)
        x = layer(x)


def test_patches_of_odd_sides_are_enlarged_first() -> None:
    values = torch.rand(3, 2, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    means, variances = patch_moments(values, 4)
    large = F.interpolate(values, size=(8, 8), mode="bilinear")
    assert (len(means), len(variances)) == (4, 4)
    assert float(means[1]) == pytest.approx(float(large[:, :, :4, 4:].mean()))
    assert float(variances[2]) == pytest.approx(float(large[:, :, 4:, :4].var(unbiased=False)))


def test_running_statistics_have_the_gradient_of_the_present_ones() -> None:
    state, first, second = Moments(), torch.tensor([1.0, 3.0]), torch.tensor([5.0, -1.0], requires_grad=True)
    state.running(["a"], [[first]], 0.75)
    (((held,),),) = (state.running(["a"], [[second]], 0.75),)
    assert held.tolist() == [2.0, 2.0]
    (gradient,) = torch.autograd.grad(held.square().sum(), second)
    assert gradient.tolist() == [4.0, 4.0]
    other = Moments()
    other.load_state_dict(state.state_dict())
    assert other.running(["a"], [[first]], 0.75)[0][0].tolist() == [1.75, 2.25]


def test_densification_is_zero_where_all_directions_weigh_the_same() -> None:
    """Rows with equal eigenvalues leave nothing; rows on one line are pushed apart."""
    even = Batch(3 * torch.eye(4).view(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64))
    assert float(densification(even, [0])) == pytest.approx(0.0, abs=1e-6)
    rows = torch.tensor([[2.0, 0, 0, 0], [1.0, 0, 0, 0.5]])
    lambdas = torch.linalg.eigvalsh(rows @ rows.T)
    p, q = (lambdas / 4).softmax(dim=0), lambdas.softmax(dim=0)
    wanted = float((p * (p / q).log()).sum())
    batch = Batch(torch.cat([rows, rows]).view(4, 1, 2, 2), torch.tensor([0, 0, 1, 1]))
    assert float(densification(batch, [0, 1])) == pytest.approx(2 * wanted, rel=1e-5)


def test_a_convolution_is_left_out_as_often_as_asked(few_digits: dd.TargetData) -> None:
    run = run_of(few_digits)
    (network,) = run.networks.current()
    matching = StatisticMatching(convolutions=True, drop=0.4)
    layers, kept = matching.layers(network), [0, 0, 0, 0]
    for step in range(300):
        run.step = step
        for i in matching._kept(layers, run, 0):
            kept[i] += 1
    assert kept[1] == kept[3] == 300
    assert all(150 < kept[i] < 210 for i in (0, 2))


def test_no_real_example_is_asked_for(few_digits: dd.TargetData) -> None:
    method = dd.methods.sre2l(ipc=2, preset="paper").with_teachers(untrained_teacher(few_digits.spec))
    assert method.asks() == {"teacher"}


def test_the_curriculum_of_cda_reaches_its_crops(few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps see the areas that the formula says, through the chain of its augmentations."""
    seen = []
    original = RandomResizedCrop.draw

    def draw(self: RandomResizedCrop, *arguments: object) -> object:
        seen.append(self.scale[0])
        return original(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RandomResizedCrop, "draw", draw)
    method = dd.methods.cda(ipc=1, preset="cpu").with_teachers(untrained_teacher(few_digits.spec)).with_steps(5)
    dd.distill(few_digits, replace(method, labels=None))
    assert seen == pytest.approx([0.5 + 0.25 * (1 + math.cos(math.pi * step / 4)) for step in range(5)])


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
