from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ddcore as dd
from ddcore.data import ExactSignal
from ddcore.errors import SettingsError, UnknownNameError, UnsupportedError
from ddcore.images import ConvNet, CutMix, MultiFormation, Pixels, SiameseAugmentation
from ddcore.matching import GradientMatching
from ddcore.matching.gradient.distances import DISTANCES, cosine
from ddcore.matching.gradient.matched_weights import matched_weights
from ddcore.matching.pieces import losses_by_piece
from ddcore.networks import MLP
from ddcore.parts import Gradients, NoAugmentation
from ddcore.sources import FixedNetworks, FreshNetworks, TrainedOnSynthetic
from tests.running import parameter_gradient, started

SHAPES = ((5, 3, 3, 3), (4, 5, 1, 1), (7, 11))


def gradients(seed: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=random, dtype=torch.float64) for shape in SHAPES]


def rows(tensor: Tensor) -> list[list[float]]:
    return tensor.reshape(tensor.shape[0], -1).tolist()


def one_minus_cosine(a: list[float], b: list[float]) -> float:
    product = sum(x * y for x, y in zip(a, b, strict=True))
    norms = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b))
    return 1 - product / (norms + 1e-6)


def by_hand(name: str, synthetic: list[Tensor], real: list[Tensor]) -> float:
    pairs = list(zip(synthetic, real, strict=True))
    if name == "cosine":
        return sum(one_minus_cosine(a, b) for s, r in pairs for a, b in zip(rows(s), rows(r), strict=True))
    if name == "vector_cosine":
        return one_minus_cosine(*([x for t in side for x in t.flatten().tolist()] for side in (synthetic, real)))
    differences = [x - y for s, r in pairs for x, y in zip(s.flatten().tolist(), r.flatten().tolist(), strict=True)]
    if name == "l1":
        return sum(map(abs, differences))
    squared = sum(d * d for d in differences)
    return squared if name == "mse" else squared / sum(y * y for r in real for y in r.flatten().tolist())


@pytest.mark.parametrize("name", DISTANCES)
def test_every_distance_equals_its_formula(name: str) -> None:
    synthetic, real = gradients(0), gradients(1)
    assert float(DISTANCES[name](synthetic, real)) == pytest.approx(by_hand(name, synthetic, real), rel=1e-10)


def test_a_row_of_zeros_has_a_finite_gradient() -> None:
    synthetic = [torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)]
    real = [torch.ones(3, 4, dtype=torch.float64)]
    (gradient,) = torch.autograd.grad(cosine(synthetic, real), synthetic)
    assert bool(torch.isfinite(gradient).all())


def test_equation_7_by_hand_on_a_two_layer_network(few_digits: dd.TargetData) -> None:
    run = started(few_digits, networks=FreshNetworks(MLP(width=5, depth=1)))
    (network,) = run.networks.current()
    first, second = (m for m in network.module.modules() if isinstance(m, nn.Linear))

    def weight_gradients(inputs: Tensor, label: int) -> tuple[Tensor, Tensor]:
        """Backpropagation through a linear layer, a ReLU and a linear layer, written out."""
        x = inputs.flatten(1)
        before = x @ first.weight.T + first.bias
        hidden = before.clamp_min(0)
        logits = hidden @ second.weight.T + second.bias
        error = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
        error[:, label] -= 1
        error = error / len(x)
        back = (error @ second.weight) * (before > 0)
        return back.T @ x, error.T @ hidden

    expected = 0.0
    for c in few_digits.spec.classes:
        train = few_digits.of_classes([c]).train.inputs
        real = weight_gradients(few_digits.spec.normalisation.apply(train, torch.float64), c)
        synthetic = weight_gradients(run.examples.decode(run.examples.draw([c])).inputs.detach(), c)
        for s, r in zip(synthetic, real, strict=True):
            expected += sum(one_minus_cosine(a, b) for a, b in zip(s.tolist(), r.tolist(), strict=True))
    matching = GradientMatching(real_batch=1000)
    terms = list(matching.terms(run, matching.start(run)))
    assert [t.classes for t in terms] == [(0,), (1,), (7,)]
    assert sum(float(t.loss.detach()) for t in terms) == pytest.approx(expected, rel=1e-9)


def test_the_joint_gradient_is_the_average_of_class_gradients(few_digits: dd.TargetData) -> None:
    run = started(few_digits)
    (network,) = run.networks.current()
    names = matched_weights(network, "all")
    views = {c: NoAugmentation().draw(torch.Generator()) for c in (0, 1, 7)}
    single = list(run.real.gradients(network, [[0], [1], [7]], views, 30, names))
    (joint,) = run.real.gradients(network, [[0, 1, 7]], views, 30, names)
    assert joint.count == 90
    for i, tensor in enumerate(joint.tensors):
        average = torch.stack([g.tensors[i] for g in single]).mean(dim=0)
        assert torch.allclose(tensor, average, atol=1e-12)


def test_classes_of_a_joint_gradient_weigh_the_same_whatever_their_size(few_digits: dd.TargetData) -> None:
    kept = torch.cat([(few_digits.train.targets == c).nonzero().flatten()[:n] for c, n in ((0, 40), (1, 7), (7, 2))])
    uneven = few_digits.with_train(kept, "uneven")
    run = started(uneven, factorization=Pixels(ipc={0: 1, 1: 4, 7: 2}, init="noise"))
    (network,) = run.networks.current()
    names = matched_weights(network, "all")
    views = {c: NoAugmentation().draw(torch.Generator()) for c in (0, 1, 7)}
    single = list(run.real.gradients(network, [[0], [1], [7]], views, 30, names))
    (joint,) = run.real.gradients(network, [[0, 1, 7]], views, 30, names)
    assert joint.count == 39
    averages = [torch.stack([g.tensors[i] for g in single]).mean(dim=0) for i in range(len(names))]
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(joint.tensors, averages, strict=True))

    mine = []
    with network.differentiated(names) as weights:
        for c in (0, 1, 7):
            batch = run.examples.decode(run.examples.draw([c]))
            mine.append(torch.autograd.grad(F.cross_entropy(network(batch.inputs), batch.targets), weights))
    total = [torch.stack(part).mean(dim=0) for part in zip(*mine, strict=True)]
    matching = GradientMatching(groups="joint", distance="mse", real_batch=30)
    loss = sum(float(t.loss.detach()) for t in matching.terms(run, matching.start(run)))
    assert loss == pytest.approx(float(DISTANCES["mse"](total, averages)), rel=1e-9)


def test_a_weight_that_the_forward_pass_does_not_use_is_no_obstacle(few_digits: dd.TargetData) -> None:
    class WithSpare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.Linear(64, 10), nn.Linear(5, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x.flatten(1))

    run = started(few_digits, networks=FixedNetworks((WithSpare(),)))
    assert bool(torch.isfinite(parameter_gradient(run, GradientMatching())).all())


@pytest.mark.parametrize("groups", ["class", "joint"])
@pytest.mark.parametrize("augment", [False, True])
def test_gradients_do_not_depend_on_micro_batches(few_digits: dd.TargetData, groups: str, augment: bool) -> None:
    """Micro-batches of 1 cut the synthetic side into pieces as well.

    The chain rule puts them together.
    """
    found = []
    for micro_batch in (1, 7, 1000):
        run = started(
            few_digits,
            factorization=Pixels(ipc=9, init="noise"),
            augmentation=SiameseAugmentation() if augment else NoAugmentation(),
            micro_batch=micro_batch,
        )
        found.append(parameter_gradient(run, GradientMatching(groups=groups, real_batch=20)))
    scale = float(found[2].abs().max())
    for other in found[:2]:
        assert float((other - found[2]).abs().max()) < 1e-6 * scale


def test_micro_batches_in_single_precision_agree_to_a_millionth(few_digits: dd.TargetData) -> None:
    found = []
    for micro_batch in (7, 1000):
        run = started(few_digits, micro_batch=micro_batch, precision="fp32")
        (network,) = run.networks.current()
        views = {0: NoAugmentation().draw(torch.Generator())}
        (real,) = run.real.gradients(network, [[0]], views, 40, matched_weights(network, "all"))
        found.append(torch.cat([t.flatten() for t in real.tensors]))
    assert float((found[0] - found[1]).abs().max()) < 1e-6 * float(found[1].abs().max())


def test_losses_by_piece_add_up_to_the_loss_of_the_whole() -> None:
    x = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)

    def statistics(piece: Tensor, differentiable: bool) -> list[Tensor]:
        with torch.set_grad_enabled(differentiable):
            return [piece.square().sum(dim=0), piece.sin().sum().unsqueeze(0)]

    def distance(total: object) -> Tensor:
        a, b = total  # type: ignore[misc]
        return (a.sqrt().sum() * b.exp()).squeeze()

    whole = list(losses_by_piece(distance, statistics, [x]))
    parts = list(losses_by_piece(distance, statistics, list(x.split(2))))
    assert len(whole) == 1 and len(parts) == 3
    assert float(sum(p.detach() for p in parts)) == pytest.approx(float(whole[0].detach()), rel=1e-12)
    (expected,) = torch.autograd.grad(whole[0], x)
    (found,) = torch.autograd.grad(torch.stack(parts).sum(), x)
    assert torch.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("distance", DISTANCES)
def test_pixel_gradients_are_correct(distance: str) -> None:
    network = ConvNet(width=3, depth=1, activation="swish").build((1, 4, 4), 2, seed=0, dtype=torch.float64)
    images = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    real = [torch.randn_like(w) for n, w in network.module.named_parameters() if n in matched_weights(network, "all")]

    def matched(x: Tensor) -> Tensor:
        with network.differentiated(matched_weights(network, "all")) as weights:
            loss = F.cross_entropy(network(x), torch.tensor([0, 1]))
            return DISTANCES[distance](torch.autograd.grad(loss, weights, create_graph=True), real)

    assert torch.autograd.gradcheck(matched, (images,))


def test_the_joint_matching_of_dcc_warms_up_class_by_class(few_digits: dd.TargetData) -> None:
    run = started(few_digits, networks=TrainedOnSynthetic(ConvNet(width=4), outer=3, inner=1))
    matching = GradientMatching(groups="joint", warmup_networks=2, warmup_age=2, real_batch=10)
    sizes = []
    for step in range(9):
        run.step = step
        sizes.append(len(list(matching.terms(run, matching.start(run)))))
        run.networks.advance()
    assert sizes == [3, 3, 1, 3, 3, 1, 1, 1, 1]


def test_an_update_per_class_is_taken_after_the_last_piece_of_the_class(few_digits: dd.TargetData) -> None:
    run = started(few_digits, factorization=Pixels(ipc=6, init="noise"), micro_batch=1)
    matching = GradientMatching(update_per_class=True, real_batch=5)
    updates = [(t.classes, t.update) for t in matching.terms(run, matching.start(run))]
    expected = [((c,), last) for c in (0, 1, 7) for last in (False, True)]
    assert updates == expected


@pytest.mark.parametrize("groups", ["class", "joint"])
def test_real_gradients_that_are_used_again_are_asked_for_once(few_digits: dd.TargetData, groups: str) -> None:
    run = started(few_digits, micro_batch=1)
    matching = GradientMatching(groups=groups, real_batch=5, updates_per_gradient=3)
    asked, signal = [], run.real

    class Counting(ExactSignal):
        def gradients(self, *arguments: Any, **options: Any) -> Iterator[Gradients]:
            asked.append(1)
            return signal.gradients(*arguments, **options)

    run.real = Counting(few_digits)
    terms = list(matching.terms(run, matching.start(run)))
    assert len(asked) == 1
    assert [i for i, term in enumerate(terms, start=1) if term.update] == [len(terms) * k // 3 for k in (1, 2, 3)]
    once = list(GradientMatching(groups=groups, real_batch=5).terms(run, matching.start(run)))
    for term, other in zip(terms, once * 3, strict=True):
        torch.testing.assert_close(term.loss, other.loss)


def test_conv_only_matching_takes_the_convolutions(few_digits: dd.TargetData) -> None:
    network = ConvNet(width=4, depth=2).build((1, 8, 8), 3, seed=0)
    assert matched_weights(network, "conv") == ["0.0.weight", "0.4.weight"]
    assert matched_weights(network, "all") == ["0.0.weight", "0.4.weight", "1.weight"]
    with pytest.raises(UnsupportedError, match="no convolution"):
        dd.distill(
            few_digits,
            dd.Method(
                dd.images.Pixels(),
                matching=GradientMatching(layers="conv"),
                networks=FreshNetworks(MLP(width=4)),
                steps=1,
            ),
        )


def test_batch_norm_with_statistics_of_the_batch_is_refused_and_frozen_batch_norm_works(
    few_digits: dd.TargetData,
) -> None:
    architecture = ConvNet(width=4, norm="batch")
    training = architecture.build((1, 8, 8), 10, seed=0).module
    with pytest.raises(UnsupportedError, match="leak"):
        started(few_digits, networks=FixedNetworks((training,)))
    found: list[Tensor] = []
    for micro_batch in (2, 500):
        run = started(few_digits, networks=FreshNetworks(architecture), micro_batch=micro_batch)
        found.append(parameter_gradient(run, GradientMatching()))
    assert torch.allclose(*found, atol=1e-9)


def test_soft_labels_are_learned(few_digits: dd.TargetData) -> None:
    method = dd.Method(
        factorization=Pixels(ipc=1, labels="soft"),
        matching=GradientMatching(real_batch=20),
        networks=FreshNetworks(ConvNet(width=4)),
        optimiser=dd.Optimiser("sgd", learning_rate=0.1),
        steps=2,
    )
    labels = dd.distill(few_digits, method).tensors()[1]
    assert float((labels - F.one_hot(labels.argmax(dim=1), 10)).abs().max()) > 1e-4


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (lambda: GradientMatching(distance="euclid"), UnknownNameError),
        (lambda: GradientMatching(layers="linear"), UnknownNameError),
        (lambda: GradientMatching(groups="pairs"), UnknownNameError),
        (lambda: GradientMatching(real_batch=0), SettingsError),
        (lambda: GradientMatching(synthetic_batch=0), SettingsError),
        (lambda: GradientMatching(real_batch=2.5), SettingsError),  # type: ignore[arg-type]
        (
            lambda: dd.Method(
                dd.images.Pixels(),
                matching=GradientMatching(),
                networks=FreshNetworks(),
                augmentation=CutMix(),
                steps=1,
            ),
            SettingsError,
        ),
        (lambda: dd.Optimiser(drops=("a",)), SettingsError),  # type: ignore[arg-type]
    ],
)
def test_bad_settings_are_refused(build: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        build()


def test_matching_all_real_examples_leaves_no_loss(few_digits: dd.TargetData) -> None:
    run = started(few_digits, factorization=MultiFormation(ipc=40, factor=1))
    with torch.no_grad():
        (parameter,) = run.examples.groups()["images"]
        parameter.copy_(torch.cat([few_digits.of_classes([c]).train.inputs for c in (0, 1, 7)]).double() / 255)
    matching = GradientMatching(distance="mse")
    assert sum(float(t.loss.detach()) for t in matching.terms(run, matching.start(run))) < 1e-20
