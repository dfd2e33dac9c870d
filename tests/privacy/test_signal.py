"""The private signal against the exact one, and what it refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

import ddcore as dd
from ddapps.privacy import Ledger, RepeatableEntropy, SystemEntropy
from ddapps.privacy.mechanism import GRID, poisson_draw
from ddapps.privacy.networks import require_private_view
from ddcore.coresets import RandomSelection
from ddcore.data import ExactSignal
from ddcore.errors import BudgetError, CheckpointError, InputDataError, LedgerError, UnsupportedError
from ddcore.images import ConvNet
from ddcore.parts import Factory, Split, View
from tests.privacy.asking import bind, bound, network, plain_views, weights

STEP = 2 * 32.0 / GRID
"""What cutting to the public grid may change of a mean, with the clipping norm of these tests."""
GROUPS: tuple[list[list[int]], ...] = ([[0], [1], [7]], [[0, 1, 7]], [[7, 0], [1]])


def exact(target: dd.TargetData) -> ExactSignal:
    signal = ExactSignal(target)
    bind(signal, target)
    return signal


@pytest.mark.parametrize("groups", GROUPS)
def test_without_clipping_and_noise_gradients_are_the_exact_ones(
    private_digits: dd.TargetData, groups: list[list[int]]
) -> None:
    net = network(private_digits)
    asked = (net, groups, plain_views(private_digits), 1000, weights(net))
    pairs = zip(bound(private_digits).gradients(*asked), exact(private_digits).gradients(*asked), strict=True)
    for private, real in pairs:
        assert private.classes == real.classes
        assert private.count == real.count
        for ours, theirs in zip(private.tensors, real.tensors, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=STEP)


@pytest.mark.parametrize("groups", GROUPS)
def test_without_clipping_and_noise_features_are_the_exact_ones(
    private_digits: dd.TargetData, groups: list[list[int]]
) -> None:
    net = network(private_digits)
    asked = (net, groups, plain_views(private_digits), 1000)
    pairs = zip(bound(private_digits).features(*asked), exact(private_digits).features(*asked), strict=True)
    for private, real in pairs:
        torch.testing.assert_close(private.mean, real.mean, rtol=0, atol=STEP)


def test_on_a_draw_the_answer_is_that_of_the_drawn_examples_over_a_public_divisor(
    private_digits: dd.TargetData,
) -> None:
    rate, net = 0.4, network(private_digits)
    names, views = weights(net), plain_views(private_digits)
    signal = bound(private_digits, sample_rate=rate, entropy=RepeatableEntropy(5))
    answers = list(signal.gradients(net, [[0], [1], [7]], views, 0, names))
    drawn = poisson_draw(90, rate, RepeatableEntropy(5))
    assert 0 < len(drawn) < 90
    train = private_digits.train.take(drawn)
    for answer in answers:
        (class_id,) = answer.classes
        mine = dataclasses.replace(private_digits, train=train.of_classes([class_id]))
        (real,) = exact(mine).gradients(net, [[class_id]], views, 1000, names)
        share = len(mine.train) / (rate * private_digits.counts()[class_id])
        for ours, theirs in zip(answer.tensors, real.tensors, strict=True):
            torch.testing.assert_close(ours, theirs * share, rtol=0, atol=STEP)


def test_an_example_moves_an_answer_by_no_more_than_its_bound(private_digits: dd.TargetData) -> None:
    net, norm = network(private_digits), 0.05
    views, counts = plain_views(private_digits), private_digits.counts()
    for groups in GROUPS:
        whole = list(bound(private_digits, max_grad_norm=norm).gradients(net, groups, views, 0, weights(net)))
        for left_out in (0, 35, 80):
            kept = torch.arange(90) != left_out
            split = Split(private_digits.train.inputs[kept], private_digits.train.targets[kept])
            fewer = dataclasses.replace(private_digits, train=split)
            rest = list(bound(fewer, max_grad_norm=norm, counts=counts).gradients(net, groups, views, 0, weights(net)))
            moved = 0
            for a, b in zip(whole, rest, strict=True):
                difference = torch.cat([(x - y).flatten() for x, y in zip(a.tensors, b.tensors, strict=True)]).norm()
                bound_on_it = norm / (len(a.classes) * min(counts[c] for c in a.classes))
                assert float(difference) <= bound_on_it * (1 + 1e-9)
                moved += int(float(difference) > 1e-12)
            assert moved == 1  # an example has a part in one of the answers alone


def test_noise_on_an_answer_is_sigma_times_norm_over_the_divisor(private_digits: dd.TargetData) -> None:
    net = network(private_digits, ConvNet(width=16))
    signal = bound(private_digits, noise_multiplier=50.0, max_grad_norm=0.1, sample_rate=0.5, entropy=SystemEntropy())
    for answer in signal.gradients(net, [[0], [1], [7]], plain_views(private_digits), 0, weights(net)):
        values = torch.cat([t.flatten() for t in answer.tensors])
        expected = 50.0 * 0.1 / (0.5 * private_digits.counts()[answer.classes[0]])
        assert float(values.std()) == pytest.approx(expected, rel=0.05)
    wide = network(private_digits, ConvNet(width=64, depth=1))
    for mean in signal.features(wide, [[0, 1, 7]], plain_views(private_digits), 0):
        assert mean.mean.numel() == 1024
        assert float(mean.mean.std()) == pytest.approx(50.0 * 0.1 / (0.5 * 3 * 20), rel=0.1)


def test_the_networks_hooks_and_modes_are_as_before(private_digits: dd.TargetData) -> None:
    net = network(private_digits)
    before = [(len(m._forward_hooks), len(m._backward_hooks), m.training) for m in net.modules()]
    list(bound(private_digits).gradients(net, [[0, 1, 7]], plain_views(private_digits), 0, weights(net)))
    assert [(len(m._forward_hooks), len(m._backward_hooks), m.training) for m in net.modules()] == before
    for weight in net.parameters():
        assert weight.grad is None
        assert getattr(weight, "grad_sample", None) is None
        assert getattr(weight, "summed_grad", None) is None
    inputs = torch.zeros(2, *private_digits.spec.shape, dtype=torch.float64, requires_grad=True)
    with net.differentiated(weights(net)) as chosen:
        grads = torch.autograd.grad(net(inputs).square().sum(), chosen, create_graph=True)
        sum((g.square().sum() for g in grads), torch.zeros(())).backward(inputs=[inputs])


def test_every_question_is_paid_on_disk_before_its_first_answer(private_digits: dd.TargetData, tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    ledger = Ledger(path, "digest", 100.0, 1e-3, "rdp")
    signal = bound(private_digits, noise_multiplier=1.0, steps=2, ledger=ledger)
    net, views = network(private_digits), plain_views(private_digits)
    released_when_paid: list[int] = []
    answers = signal.gradients(net, [[0], [1], [7]], views, 0, weights(net))
    assert '"queries": [\n    [\n     1.0,\n     1.0,\n     0' in path.read_text()
    for answer in answers:
        released_when_paid.append(path.read_text().count("     1\n"))
        assert len(answer.tensors) == 3
    assert released_when_paid == [1, 1, 1]  # one question, whatever the number of groups
    next(signal.features(net, [[0]], views, 0))
    assert signal.exhausted()
    with pytest.raises(BudgetError, match="all 2 answers"):
        next(signal.gradients(net, [[0]], views, 0, weights(net)))
    assert signal.history() == [(1.0, 1.0, 2)]
    ledger.close()


def test_what_cannot_be_answered_is_not_paid_for(private_digits: dd.TargetData) -> None:
    signal, views = bound(private_digits, noise_multiplier=1.0), plain_views(private_digits)
    net = network(private_digits)
    with pytest.raises(UnsupportedError, match="two groups"):
        next(signal.gradients(net, [[0, 1], [1]], views, 0, weights(net)))
    with pytest.raises(InputDataError, match="class 3 has no example"):
        next(signal.features(net, [[3]], views, 0))
    with pytest.raises(UnsupportedError, match="never gives"):
        signal.batch([0], 4, "real")
    with pytest.raises(UnsupportedError, match="a network with BatchNorm"):
        signal.batch([0], 4, "batch-norm")
    with pytest.raises(UnsupportedError, match="would publish real examples"):
        signal.select(RandomSelection(), {0: 1}, torch.Generator())
    assert signal.history() == [(1.0, 1.0, 0)]


def tail(*layers: nn.Module) -> dd.networks.Architecture:
    return Factory(lambda: nn.Sequential(nn.Conv2d(1, 4, 3), *layers, nn.Flatten(), nn.Linear(144, 10)))


class Centred(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs - inputs.mean(dim=0)


class Cumulative(nn.Module):
    """Lets later examples see earlier ones, not the other way round."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.cumsum(dim=0)


class ModeDependent(nn.Module):
    """Owns a weight, and mixes examples in training mode alone."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6, 6))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scaled = inputs * self.weight
        return scaled - 50 * scaled.mean(dim=0) if self.training else scaled


class Folded(nn.Module):
    """Treats an example as four, and averages them."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 10))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        patches = inputs.unfold(2, 4, 4).unfold(3, 4, 4).reshape(-1, 1, 4, 4)
        folded: torch.Tensor = self.inner(patches).view(len(inputs), 4, 10).mean(dim=1)
        return folded


class Buffered(nn.Conv2d):
    """A layer with a buffer beside its weights, which Opacus does not take."""

    def __init__(self) -> None:
        super().__init__(4, 4, 1)
        self.register_buffer("offset", torch.zeros(1))


def test_networks_that_fold_an_example_into_several_rows_are_refused(private_digits: dd.TargetData) -> None:
    signal, net = bound(private_digits), network(private_digits, Factory(Folded))
    with pytest.raises(UnsupportedError, match="one row of its layers' inputs"):
        next(signal.gradients(net, [[0]], plain_views(private_digits), 0, weights(net)))
    assert signal.history()[0][2] == 0
    with pytest.raises(UnsupportedError, match="one row of its layers' inputs"):
        next(signal.features(net, [[0]], plain_views(private_digits), 0))


def test_layers_that_opacus_does_not_take_are_refused_also_when_frozen(private_digits: dd.TargetData) -> None:
    signal, net = bound(private_digits), network(private_digits, tail(Buffered()))
    net.requires_grad_(False)
    with pytest.raises(UnsupportedError, match="Opacus"):
        next(signal.gradients(net, [[0]], plain_views(private_digits), 0, weights(net)))
    assert signal.history()[0][2] == 0


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.BatchNorm2d(4)], "is a BatchNorm"),
        ([nn.BatchNorm2d(4, affine=False)], "is a BatchNorm"),
        ([nn.BatchNorm2d(4, track_running_stats=False)], "is a BatchNorm"),
        ([Cumulative()], "depends on the others in the batch"),
        ([ModeDependent()], "on the mode it is in"),
        ([nn.ReLU(inplace=True)], "in place"),
        ([Centred()], "depends on the others in the batch"),
    ],
)
def test_networks_that_mix_examples_are_refused(
    private_digits: dd.TargetData, layers: Sequence[nn.Module], message: str
) -> None:
    signal, net = bound(private_digits), network(private_digits, tail(*layers))
    with pytest.raises(UnsupportedError, match=message):
        next(signal.gradients(net, [[0]], plain_views(private_digits), 0, weights(net)))
    if "mode" not in message:
        with pytest.raises(UnsupportedError, match=message):
            next(signal.features(net, [[0]], plain_views(private_digits), 0))
    assert signal.history()[0][2] == 0


@pytest.mark.parametrize("norm", ["instance", "layer", "group", "none"])
def test_other_norms_pass_also_when_the_draw_is_empty(private_digits: dd.TargetData, norm: str) -> None:
    net = network(private_digits, ConvNet(width=4, norm=norm))
    signal = bound(private_digits, sample_rate=1e-9)
    (answer,) = signal.gradients(net, [[0, 1, 7]], plain_views(private_digits), 0, weights(net))
    assert all(not t.any() for t in answer.tensors)


def test_a_checkpoint_that_knows_more_than_its_ledger_is_refused(private_digits: dd.TargetData) -> None:
    signal = bound(private_digits)
    with pytest.raises(LedgerError, match="it was replaced"):
        signal.load_state_dict(signal.state_dict() | {"paid": 3})
    with pytest.raises(CheckpointError, match="other privacy settings"):
        signal.load_state_dict(signal.state_dict() | {"run": "another"})


class Mixing(View):
    """Says nothing of it, and lets each example depend on the others."""

    def __init__(self, strength: float = 1.0) -> None:
        self.strength = strength

    def __call__(self, batch: dd.Batch) -> dd.Batch:
        return dataclasses.replace(batch, inputs=batch.inputs - self.strength * batch.inputs.mean(dim=0))


def test_a_view_that_mixes_examples_is_refused_before_anything_is_paid(private_digits: dd.TargetData) -> None:
    signal, net = bound(private_digits, noise_multiplier=1.0), network(private_digits)
    views = dict.fromkeys(private_digits.spec.classes, Mixing())
    for ask in (
        lambda: list(signal.features(net, [[0]], views, 0)),
        lambda: list(signal.gradients(net, [[0]], views, 0, weights(net))),
    ):
        with pytest.raises(UnsupportedError, match="Mixing makes of one example what depends on the others"):
            ask()
    assert signal.history()[-1][2] == 0
    list(signal.features(net, [[0]], dict.fromkeys(views, Mixing(0.0)), 0))
    with pytest.raises(UnsupportedError, match="Mixing makes"):  # of a class that was seen to be harmless
        list(signal.features(net, [[0]], views, 0))
    siamese = dd.images.SiameseAugmentation()
    for seed in range(12):  # all families
        view = siamese.draw(torch.Generator().manual_seed(seed))
        require_private_view(view, private_digits.spec.shape)
