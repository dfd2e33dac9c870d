from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ddcore.errors import SettingsError, UnknownNameError, UnsupportedError
from ddcore.images import VGG11, ConvNet, ResNet18
from ddcore.images.networks.layers import AveragePool
from ddcore.parts import ARCHITECTURES, Factory, Redrawn, architecture_label, as_architecture, parse_architecture
from ddcore.settings import split_names

OF_IMAGES = [name for name, kind in ARCHITECTURES.items() if kind.modality in (None, "images")]
SHAPES = [(1, 8, 8), (3, 8, 8), (1, 28, 28), (3, 32, 32), (1, 64, 64)]


@pytest.mark.parametrize("name", OF_IMAGES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_architecture_takes_every_size_and_tells_examples_apart(name: str, shape: tuple[int, ...]) -> None:
    network = ARCHITECTURES[name]().build(shape, 7, seed=0)
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits, features = network(images), network.features(images)
    assert logits.shape == (2, 7)
    assert features.ndim == 2
    assert float((features[0] - features[1]).abs().max()) > 1e-4, "the features do not depend on the example"
    assert float((logits[0] - logits[1]).abs().max()) > 1e-5


@pytest.mark.parametrize("name", OF_IMAGES)
def test_logits_are_the_head_applied_to_the_features(name: str) -> None:
    network = ARCHITECTURES[name]().build((1, 28, 28), 5, seed=0).eval()
    images = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    head = network.module.get_submodule(network.head)
    assert torch.allclose(head(network.features(images)), network(images), atol=1e-5)


def test_the_convnet_has_the_fields_parameter_count() -> None:
    def count(architecture: ConvNet, shape: tuple[int, ...]) -> int:
        return sum(p.numel() for p in architecture.build(shape, 10, seed=0).parameters())

    # 3 x 3 convolutions with bias, an affine norm per block, a linear layer on 128 x 4 x 4
    # features.
    def expected(channels: int) -> int:
        return (channels * 9 + 1) * 128 + 2 * (128 * 9 + 1) * 128 + 3 * 256 + (128 * 16 + 1) * 10

    assert count(ConvNet(), (3, 32, 32)) == expected(3) == 320_010
    assert count(ConvNet(), (1, 28, 28)) == expected(1)


def test_a_norm_per_channel_equals_instance_norm() -> None:
    network = ConvNet(width=4, depth=1).build((1, 8, 8), 2, seed=0)
    conv, norm = network.module[0][0], network.module[0][1]
    images = torch.randn(5, 1, 8, 8)
    assert torch.allclose(norm(conv(images)), F.instance_norm(conv(images)), atol=1e-5)


@pytest.mark.parametrize("side", [2, 5, 8])
def test_our_average_pool_equals_torchs(side: int) -> None:
    images = torch.randn(3, 4, side, side, dtype=torch.float64, requires_grad=True)
    ours, theirs = AveragePool()(images), F.avg_pool2d(images, 2)
    assert torch.allclose(ours, theirs, atol=1e-14)
    weights = torch.randn_like(ours)
    (a,) = torch.autograd.grad((ours * weights).sum(), images)
    (b,) = torch.autograd.grad((theirs * weights).sum(), images)
    assert torch.allclose(a, b, atol=1e-14)


def test_weights_depend_on_the_seed_alone_and_the_callers_random_state_is_left_alone() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    a = ConvNet(width=4).build((1, 8, 8), 3, seed=5)
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(99)
    b = ConvNet(width=4).build((1, 8, 8), 3, seed=5)
    c = ConvNet(width=4).build((1, 8, 8), 3, seed=6)
    same = [torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)]
    assert all(same)
    assert not torch.equal(a.module[1].weight, c.module[1].weight)


def test_named_layers_are_handed_out_and_hooks_are_gone_after() -> None:
    network = ConvNet(width=4, depth=2).build((1, 8, 8), 3, seed=0)
    images = torch.randn(2, 1, 8, 8)
    first, last = network.layers(images, ["0.3", "0.7"])
    assert first.shape == (2, 4 * 4 * 4) and last.shape == (2, 4 * 2 * 2)
    assert torch.allclose(last, network.features(images))
    assert not any(m._forward_hooks for m in network.modules())
    with pytest.raises(UnknownNameError, match=r"0\.3"):
        network.layers(images, ["block3"])


def test_names_with_settings_are_parsed_and_printed() -> None:
    assert parse_architecture("convnet(width=64, depth=2, norm=batch)") == ConvNet(width=64, depth=2, norm="batch")
    assert split_names("convnet(width=8,depth=2), resnet18") == ["convnet(width=8,depth=2)", "resnet18"]
    assert architecture_label(ConvNet(width=64)) == "convnet(width=64)"
    assert architecture_label(ResNet18()) == "resnet18"
    for text in ("convnext", "convnet(", ""):
        with pytest.raises(UnknownNameError):
            parse_architecture(text)
    with pytest.raises(SettingsError, match="widht"):
        parse_architecture("convnet(widht=3)")
    with pytest.raises(SettingsError, match="int"):
        parse_architecture("convnet(width=wide)")


def test_a_factory_and_a_module_serve_as_architectures() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 3))

    factory, template = as_architecture(build), as_architecture(build())
    assert isinstance(factory, Factory) and isinstance(template, Redrawn)
    for architecture in (factory, template):
        network = architecture.build((1, 8, 8), 3, seed=1)
        assert network.head == "3" and network.features(torch.zeros(2, 1, 8, 8)).shape == (2, 6)
        again = architecture.build((1, 8, 8), 3, seed=1)
        assert torch.equal(network.module[1].weight, again.module[1].weight)
    assert not torch.equal(template.build((1, 8, 8), 3, seed=1).module[1].weight, template.template[1].weight)
    assert factory.describe()["source_sha256"]


def test_a_factory_that_hands_out_one_module_again_is_refused() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    factory = Factory(lambda: module)
    factory.build((1, 8, 8), 3, seed=0)
    with pytest.raises(UnsupportedError, match="same module twice"):
        factory.build((1, 8, 8), 3, seed=1)


def test_networks_that_cannot_serve_are_refused() -> None:
    class NoReset(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(64, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) @ self.weight

    cases = {
        "no linear layer": Factory(lambda: NoReset()),
        "reset_parameters": Redrawn(NoReset()),
        "logits": Factory(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 4))),
        "cannot take": Factory(lambda: nn.Linear(5, 3)),
        "not an nn.Module": Factory(lambda: 3),
    }
    for message, architecture in cases.items():
        with pytest.raises(UnsupportedError, match=message):
            architecture.build((1, 8, 8), 3, seed=0)
    with pytest.raises(SettingsError, match="halved"):
        ConvNet(depth=4).build((1, 8, 8), 3, seed=0)
    for name, shape in (("alexnet", (3, 6, 6)), ("lenet", (1, 3, 3)), ("mlp(width=-1)", (1, 8, 8))):
        with pytest.raises((UnsupportedError, SettingsError)):
            parse_architecture(name).build(shape, 3, seed=0)
    with pytest.raises(UnknownNameError, match="instance"):
        VGG11(norm="power").build((1, 8, 8), 3, seed=0)
    with pytest.raises(UnsupportedError, match="int"):
        as_architecture(3)


def test_lecun_weights_have_variance_one_over_fan_in_and_no_tails() -> None:
    network = ConvNet(width=128, depth=2, norm="none", init="lecun").build((3, 16, 16), 10, seed=0)
    wide = next(m for m in network.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 128)
    weight = wide.weight.detach()
    deviation = (128 * 9) ** -0.5
    assert float(weight.std()) == pytest.approx(deviation, rel=0.01)
    # Cut off at two deviations of the normal before it is cut: 2 / .8796 of what is left.
    assert 2.2 * deviation < float(weight.abs().max()) <= 2 / 0.8796 * deviation * 1.0001
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 3 and all(not m.bias.detach().any() for m in layers)


def test_grey_images_of_28_pixels_are_padded_unless_told_not_to() -> None:
    features = [
        ConvNet(width=4, pad_grey=padded).build((1, 28, 28), 10, seed=0).feature_width for padded in (True, False)
    ]
    assert features == [4 * 4 * 4, 3 * 3 * 4]
