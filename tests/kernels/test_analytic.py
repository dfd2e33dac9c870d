"""NTK and NNGP: closed forms at depth 1, wide networks at any depth, and properties of kernels."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from ddcore.errors import NumericalError, SettingsError, UnknownNameError, UnsupportedError
from ddcore.kernels import AnalyticKernel, as_kernel, centred, kernel_label, ridge_solution
from ddcore.kernels.analytic import relu_expectations


def examples(n: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(n, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_depth_one_has_the_closed_form_of_arc_cosines() -> None:
    a, b = examples(3, 5), examples(4, 5, seed=1)
    weight, bias = 1.3, 0.2
    nngp, ntk = (
        AnalyticKernel(kind, depth=1, weight_std=weight, bias_std=bias).product(a, b) for kind in ("nngp", "ntk")
    )
    for i in range(3):
        for j in range(4):
            c, u, v = (weight**2 * float(x @ y) / 5 + bias**2 for x, y in ((a[i], b[j]), (a[i], a[i]), (b[j], b[j])))
            angle = math.acos(c / math.sqrt(u * v))
            both_positive = (math.pi - angle) / (2 * math.pi)
            relu = math.sqrt(u * v) * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi)
            assert float(nngp[i, j]) == pytest.approx(weight**2 * relu + bias**2, rel=1e-12)
            assert float(ntk[i, j]) == pytest.approx(
                weight**2 * c * both_positive + weight**2 * relu + bias**2, rel=1e-12
            )


def test_expectations_are_those_of_jointly_normal_pairs() -> None:
    """Against the mean over many draws of a pair with the covariance of two examples."""
    a, b = torch.tensor([[1.0, 0.5]], dtype=torch.float64), torch.tensor([[-0.3, 1.2]], dtype=torch.float64)
    kernel = AnalyticKernel("nngp", depth=1, weight_std=1.0, bias_std=0.0)
    random = examples(400_000, 2, seed=5)
    u, v = (random @ (x.flatten() / math.sqrt(2)) for x in (a, b))
    assert float(kernel.product(a, b)) == pytest.approx(float((u.relu() * v.relu()).mean()), abs=2e-3)


@pytest.mark.parametrize(
    ("layers", "kind", "wanted"),
    [
        ("fc", "nngp", (0.7189623639047179, 0.3777286845726041, 0.686331935372647)),
        ("fc", "ntk", (2.0430870917141535, 0.514180003131065, 1.9451958061179409)),
        ("conv", "nngp", (0.4172398963702161, 0.22939048669801193, 0.39776557507172394)),
        ("conv", "ntk", (1.1379196870720967, 0.3046366401448809, 1.079496725215172)),
    ],
)
def test_two_layers_agree_with_neural_tangents(layers: str, kind: str, wanted: tuple[float, ...]) -> None:
    """The numbers are those of neural-tangents 0.6.5.

    It had the same two images, layers and standard deviations.
    """
    images = torch.arange(96, dtype=torch.float64).square().sin().view(2, 3, 4, 4)
    gram = AnalyticKernel(kind, layers, 2, weight_std=1.3, bias_std=0.2).product(images, images)
    first, between, second = (float(gram[i, j]) for i, j in ((0, 0), (0, 1), (1, 1)))
    assert between == pytest.approx(wanted[1], rel=1e-12)
    # Of equal images the angle is zero; theirs keeps the root of a rounding error there.
    assert (first, second) == pytest.approx((wanted[0], wanted[2]), rel=1e-8)


@pytest.mark.parametrize(
    ("size", "kernel", "nngp", "ntk"),
    [
        (
            (4, 4),
            AnalyticKernel("nngp", "conv", 2, 1.3, 0.2, pooling="average", unpooled=0, readout="flatten"),
            (0.1325344460108699, 0.1244130128741362, 0.13167529931086436),
            (0.21118541702780447, 0.1752852470936322, 0.210965453788068),
        ),
        (
            (7, 6),
            AnalyticKernel("nngp", "conv", 2, 1.3, 0.2, pooling="average", unpooled=0, readout="flatten"),
            (0.199873016983746, 0.19286554142145185, 0.2085292801718166),
            (0.3479968830526078, 0.3016165206481941, 0.36579934622795884),
        ),
        (
            (5, 6),
            AnalyticKernel("nngp", "conv", 3, 1.3, 0.2, pooling="average", unpooled=1, readout="flatten"),
            (0.17676841202225507, 0.16455193859699996, 0.1635566858376175),
            (0.33277133504953205, 0.275958528434828, 0.3056438125372385),
        ),
        (
            (5, 5),
            AnalyticKernel("nngp", "conv", 2, 1.3, 0.2, pooling="average", unpooled=1, readout="average"),
            (0.2944908851874619, 0.29215795807666245, 0.31769594638082266),
            (0.4521979778118846, 0.4080214665769679, 0.49126178445091223),
        ),
        (
            (4, 5),
            AnalyticKernel("nngp", "conv", 2, 1.3, 0.2, pooling="none", unpooled=0, readout="average"),
            (0.2364747255206745, 0.22914486199327125, 0.23940817800479292),
            (0.3465396224678811, 0.309641210819509, 0.3538316801947399),
        ),
        (
            (8, 8),
            AnalyticKernel("nngp", "conv", 3, 1.3, 0.2, pooling="average", unpooled=0, readout="flatten"),
            (0.11214142278116883, 0.11232375096257934, 0.11476846269914111),
            (0.18783645746504068, 0.18032341676047703, 0.19347980969169745),
        ),
    ],
)
def test_all_pairs_of_pixels_agree_with_neural_tangents(
    size: tuple[int, int], kernel: AnalyticKernel, nngp: tuple[float, ...], ntk: tuple[float, ...]
) -> None:
    """The numbers are those of neural-tangents 0.6.5, pooling with padding VALID, in float64."""
    images = torch.arange(6 * math.prod(size), dtype=torch.float64).square().sin().view(2, 3, *size)
    for kind, wanted in (("nngp", nngp), ("ntk", ntk)):
        gram = dataclasses.replace(kernel, kind=kind).product(images, images)
        assert [float(gram[i, j]) for i, j in ((0, 0), (0, 1), (1, 1))] == pytest.approx(wanted, rel=1e-10)
        assert float(gram[1, 0]) == float(gram[0, 1])


POOLED = AnalyticKernel("ntk", "conv", 2, bias_std=0.3, pooling="average", unpooled=1)


def test_features_of_wide_pooled_networks_have_the_nngp_as_their_mean_product() -> None:
    """Against 8 networks of width 512: their mean is within 4 %, some four of its deviations."""
    kernel, inputs = dataclasses.replace(POOLED, kind="nngp"), examples(3, 2, 5, 4, seed=3)
    torch.manual_seed(0)
    products = []
    with torch.no_grad():
        for _ in range(8):
            first, second = (Scaled(nn.Conv2d(c, 512, 3), kernel.weight_std, 0.3).double() for c in (2, 512))
            features = nn.functional.avg_pool2d(second(first(inputs).relu()).relu(), 2).flatten(1)
            products.append(features @ features.T / features.shape[1])
    found = torch.stack(products).mean(dim=0) * kernel.weight_std**2 + 0.3**2
    torch.testing.assert_close(found, kernel.product(inputs, inputs), rtol=0.04, atol=0.0)


def test_lots_of_pairs_change_neither_products_nor_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = (examples(2, 1, 4, 3, seed=n).requires_grad_() for n in (3, 2))
    whole = POOLED.product(a, b)
    wanted = torch.autograd.grad(whole.sin().sum(), (a, b))
    gram = POOLED.product(a, a)
    torch.testing.assert_close(gram, POOLED.product(a, a.clone()), rtol=1e-12, atol=0.0)
    assert POOLED.numbers_per_pair((1, 4, 3)) == 144
    monkeypatch.setattr("ddcore.kernels.analytic.NUMBERS_IN_LOT", 2 * 144)
    pieces = POOLED.product(a, b)
    torch.testing.assert_close(pieces, whole, rtol=1e-13, atol=0.0)
    for found, want in zip(torch.autograd.grad(pieces.sin().sum(), (a, b)), wanted, strict=True):
        torch.testing.assert_close(found, want, rtol=1e-10, atol=1e-14)
    assert torch.autograd.gradcheck(POOLED.product, (a, b))
    assert torch.autograd.gradcheck(lambda x: POOLED.product(x, x).sin(), (a,))


def test_lots_bound_what_lives_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tensor of a product or of its derivative is larger than a lot, or than a pair."""
    largest: list[int] = []
    expectations = relu_expectations
    monkeypatch.setattr("ddcore.kernels.analytic.NUMBERS_IN_LOT", 3 * 4**4)
    monkeypatch.setattr(
        "ddcore.kernels.analytic.relu_expectations",
        lambda c, *variances: largest.append(c.numel()) or expectations(c, *variances),  # type: ignore[func-returns-value]
    )
    a, b = examples(4, 1, 4, 4).requires_grad_(), examples(5, 1, 4, 4, seed=1)
    torch.autograd.grad(POOLED.product(a, b).sum(), a)
    assert max(largest) == 3 * 4**4


DRAWS = 16


class Scaled(nn.Module):
    """A layer whose weights are standard normal and are scaled as it runs.

    This is the parameterisation of the tangent kernel.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, weight_std: float, bias_std: float) -> None:
        super().__init__()
        self.layer = layer
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
        self.scale = weight_std / math.sqrt(layer.weight[0].numel()), bias_std

    def forward(self, inputs: Tensor) -> Tensor:
        weight, bias = self.layer.weight * self.scale[0], self.layer.bias * self.scale[1]
        if isinstance(self.layer, nn.Linear):
            return nn.functional.linear(inputs, weight, bias)
        return nn.functional.conv2d(inputs, weight, bias, padding=1)


def wide(layers: str, depth: int, width: int, shape: tuple[int, ...], kernel: AnalyticKernel) -> nn.Module:
    stds = kernel.weight_std, kernel.bias_std
    parts: list[nn.Module] = [] if layers == "conv" else [nn.Flatten()]
    before = shape[0] if layers == "conv" else math.prod(shape)
    for _ in range(depth):
        layer = nn.Conv2d(before, width, 3) if layers == "conv" else nn.Linear(before, width)
        parts += [Scaled(layer, *stds), nn.ReLU()]
        before = width
    size = width * (shape[1] * shape[2] if layers == "conv" else 1)
    return nn.Sequential(*parts, nn.Flatten(), Scaled(nn.Linear(size, 1), *stds)).double()


def empirical_ntk(network: nn.Module, inputs: Tensor) -> Tensor:
    weights = {name: w.detach() for name, w in network.named_parameters()}
    per_example = vmap(jacrev(lambda w, x: functional_call(network, w, (x.unsqueeze(0),))[0, 0]), (None, 0))
    rows = torch.cat([g.flatten(1) for g in per_example(weights, inputs).values()], dim=1)
    return rows @ rows.T


@pytest.mark.parametrize(("layers", "depth"), [("fc", 1), ("fc", 3), ("conv", 1), ("conv", 2)])
def test_wide_networks_come_to_the_tangent_kernel(layers: str, depth: int) -> None:
    shape = (2, 4, 4)
    inputs, kernel = examples(3, *shape, seed=2), AnalyticKernel("ntk", layers, depth, bias_std=0.3)
    exact = kernel.product(inputs, inputs)
    torch.manual_seed(0)
    deviations = []
    for width in (8, 128):
        found = torch.stack([empirical_ntk(wide(layers, depth, width, shape, kernel), inputs) for _ in range(DRAWS)])
        deviations.append(float((found - exact).square().mean().sqrt()))
    # One network deviates by one over the root of its width: a quarter at 16 times the width.
    # Their mean has the kernel as its limit.
    assert 2.5 < deviations[0] / deviations[1] < 6.5
    assert float(((found.mean(dim=0) - exact).abs() * DRAWS**0.5 / found.std(dim=0)).max()) < 4


def test_outputs_of_wide_networks_have_the_covariance_of_the_nngp() -> None:
    inputs, kernel = examples(3, 2, 4, 4, seed=3), AnalyticKernel("nngp", "conv", 2, bias_std=0.3)
    torch.manual_seed(0)
    with torch.no_grad():
        outputs = torch.stack([wide("conv", 2, 48, (2, 4, 4), kernel)(inputs).flatten() for _ in range(1500)])
    found = outputs.T @ outputs / len(outputs)
    torch.testing.assert_close(found, kernel.product(inputs, inputs), rtol=0.12, atol=0.05)


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
@pytest.mark.parametrize("layers", ["fc", "conv"])
def test_kernels_are_symmetric_definite_and_differentiable(kind: str, layers: str) -> None:
    kernel, inputs = AnalyticKernel(kind, layers, 2), examples(5, 1, 4, 4, seed=4).requires_grad_()
    gram = kernel.product(inputs, inputs)
    torch.testing.assert_close(gram, gram.T)
    assert float(torch.linalg.eigvalsh(gram.detach()).min()) > 0
    (gradient,) = torch.autograd.grad(gram.diagonal().sum(), inputs, retain_graph=True)
    assert bool(torch.isfinite(gradient).all()) and float(gradient.norm()) > 0
    other = examples(3, 1, 4, 4, seed=6)
    assert torch.autograd.gradcheck(lambda x: kernel.product(x, other), (inputs,))


def test_regression_reproduces_labels_without_a_ridge_and_refuses_twins() -> None:
    kernel, inputs = AnalyticKernel(), examples(6, 9)
    gram, labels = kernel.product(inputs, inputs), centred(torch.arange(6) % 3, 3)
    torch.testing.assert_close(gram @ ridge_solution(gram, labels, 0.0), labels)
    ridged = ridge_solution(gram, labels, 0.1)
    torch.testing.assert_close(
        (gram + 0.1 * gram.diagonal().mean() * torch.eye(6, dtype=torch.float64)) @ ridged, labels
    )
    twins = torch.ones(2, 2)
    with pytest.raises(NumericalError, match="singular at ridge 0"):
        ridge_solution(twins, labels[:2], 0.0)


def test_names() -> None:
    kernel = as_kernel("nngp(layers=conv, depth=3)")
    assert kernel == AnalyticKernel("nngp", "conv", 3)
    assert kernel_label(kernel) == "nngp(layers=conv,depth=3)"
    with pytest.raises(UnknownNameError, match="ntk"):
        as_kernel("rbf")
    with pytest.raises(SettingsError, match="odd"):
        AnalyticKernel(window=2)
    pooled = as_kernel("ntk(layers=conv,depth=4,pooling=average,unpooled=1)")
    assert kernel_label(pooled) == "ntk(layers=conv,depth=4,pooling=average,unpooled=1)"
    with pytest.raises(UnsupportedError, match="halved 3 times"):
        pooled.embed(torch.zeros(2, 1, 7, 9), ())
    with pytest.raises(SettingsError, match="layers='conv'"):
        AnalyticKernel(readout="average")
    with pytest.raises(SettingsError, match="leaves none"):
        AnalyticKernel(layers="conv", depth=2, pooling="average", unpooled=2)
    with pytest.raises(UnsupportedError, match="images"):
        AnalyticKernel(layers="conv").embed(torch.zeros(2, 3), ())
