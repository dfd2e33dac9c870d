"""NTK and NNGP: closed forms at depth 1, wide networks at any depth, and properties of kernels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from ddcore.errors import NumericalError, SettingsError, UnknownNameError, UnsupportedError
from ddcore.kernels import AnalyticKernel, as_kernel, centred, kernel_label, ridge_solution


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
    with pytest.raises(UnsupportedError, match="images"):
        AnalyticKernel(layers="conv").embed(torch.zeros(2, 3), ())
