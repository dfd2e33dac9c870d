"""Spaces: what is in them, that NNI's spaces are the same, and bad ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import nn

from ddapps.nas import ConvNetSpace, NasBench201, UserSpace, as_space, nni_package
from ddapps.nas.nni_package import require_nni
from ddapps.nas.spaces import space_label
from ddcore.errors import MissingExtraError, SettingsError, UnknownNameError, UnsupportedError
from ddcore.images import ConvNet
from ddcore.parts import OneOf

require_nni()

import nni  # noqa: E402
from nni.nas.hub.pytorch import NasBench201 as Hub  # noqa: E402
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace, MutableConv2d, MutableLinear  # noqa: E402


class Kernels(ModelSpace):
    """Two widths and two kernels, for 8 px."""

    def __init__(self) -> None:
        super().__init__()
        width = nni.choice("width", [4, 8])
        self.convolution = LayerChoice(
            [MutableConv2d(1, width, 3, padding=1), MutableConv2d(1, width, 5, padding=2)], label="kernel"
        )
        self.head = MutableLinear(width * 64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.convolution(images)).flatten(1))


def test_the_convnet_space_is_the_papers() -> None:
    space = ConvNetSpace(width_divisor=1)
    assert space.size == 720 and space.values()["width"] == (32, 64, 128, 256)
    everything = space.sample(720)
    assert len({candidate.label for candidate in everything}) == 720
    assert Counter(candidate.choices["norm"] for candidate in everything) == dict.fromkeys(space.values()["norm"], 144)
    assert space.sample(5, seed=3) == space.sample(5, seed=3) != space.sample(5, seed=4)
    pool = space.pool(4, seed=1)
    assert isinstance(pool, OneOf) and len(set(pool.architectures)) == 4 and space.pool(4, seed=1) == pool
    assert set(space.pool(20).architectures) != set(space.sample(20))


def test_a_candidate_is_the_cores_network() -> None:
    space = ConvNetSpace()
    choices = {"depth": 3, "width": 8, "norm": "batch", "activation": "sigmoid", "pooling": "max"}
    ours = space.candidate(choices).build((1, 28, 28), 10, seed=5)
    theirs = ConvNet(**choices).build((1, 28, 28), 10, seed=5)  # type: ignore[arg-type]
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(ours(images), theirs(images))


@pytest.mark.parametrize("depth", [1, 4])
def test_small_images_are_resized_so_that_every_depth_is_valid(depth: int) -> None:
    choices = {"depth": depth, "width": 4, "norm": "none", "activation": "relu", "pooling": "avg"}
    network = ConvNetSpace().candidate(choices).build((1, 8, 8), 10, seed=0)
    resized = ConvNet(**choices).build((1, 32, 32), 10, seed=0)  # type: ignore[arg-type]
    images = torch.rand(2, 1, 8, 8)
    large = nn.functional.interpolate(images, size=32, mode="bilinear")
    torch.testing.assert_close(network(images), resized(large))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_nni_freezes_to_the_same_networks(shape: tuple[int, ...]) -> None:
    space = ConvNetSpace()
    nnis = space.model_space(shape, 10)
    assert {name: list(values) for name, values in space.values().items()} == {
        name: mutable.values for name, mutable in nnis.simplify().items()
    }
    candidate = space.sample(1, seed=2)[0]
    frozen = nnis.freeze(candidate.choices)
    ours = candidate.build(shape, 10, seed=0).module
    assert [p.shape for p in frozen.parameters()] == [p.shape for p in ours.parameters()]
    frozen.network.load_state_dict(ours.state_dict())
    images = torch.rand(2, *shape)
    assert torch.equal(frozen.eval()(images), ours.eval()(images))


def test_nas_bench_201_is_nnis() -> None:
    space = as_space("nasbench201(channels=4,cells=1)")
    assert space == NasBench201(4, 1) and space.size == 15625
    assert set(space.values()) == set(Hub(4, 1).simplify())
    candidate = space.sample(1, seed=7)[0]
    ours, users = (
        s.candidate(candidate.choices).build((3, 32, 32), 10, seed=0) for s in (space, as_space(Hub(4, 1, 10)))
    )
    images = torch.rand(2, 3, 32, 32)
    # A space of its own, from NNI's class, builds the frozen network at once: other draws, the same
    # layers.
    users.module.load_state_dict(ours.module.state_dict())
    torch.testing.assert_close(ours(images), users(images))


@pytest.mark.parametrize("given", [Kernels, Kernels(), "tests.nas.test_spaces:Kernels"])
def test_a_users_space(given: object) -> None:
    space = as_space(given)
    assert space.size == 4 and dict(space.values()) == {"kernel": (0, 1), "width": (4, 8)}
    assert space_label(space) == "Kernels"
    network = space.candidate({"kernel": 1, "width": 8}).build((1, 8, 8), 10, seed=0)
    assert next(network.parameters()).shape == (8, 1, 5, 5)
    assert network(torch.rand(2, 1, 8, 8)).shape == (2, 10)


class Shaped(ModelSpace):
    """A space that is told what it is for, and whose layers depend on an argument of its own."""

    def __init__(self, shape: tuple[int, ...], num_classes: int, kernel: int = 3) -> None:
        super().__init__()
        width = nni.choice("width", [2, 4])
        self.convolution = MutableConv2d(shape[0], width, kernel, padding="same")
        self.head = MutableLinear(width, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.convolution(images).mean(dim=(2, 3)))


class Several(ModelSpace):
    """One choice takes two of three."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = InputChoice(n_candidates=3, n_chosen=2, label="inputs")


def test_a_users_space_may_take_shape_and_classes() -> None:
    candidate = as_space(Shaped).sample(1)[0]
    assert candidate.build((3, 8, 8), 7, seed=0)(torch.rand(2, 3, 8, 8)).shape == (2, 7)
    wide = as_space(partial(Shaped, kernel=5))
    assert wide.sample(1)[0].describe() != candidate.describe(), "another space, other results"
    assert as_space(Shaped).sample(1)[0].describe() == candidate.describe()
    state = torch.get_rng_state()
    as_space(Shaped).values()
    assert torch.equal(state, torch.get_rng_state())


def test_a_large_space_is_sampled_choice_by_choice() -> None:
    @dataclass(frozen=True)
    class Large(ConvNetSpace):
        def values(self) -> dict[str, tuple[int, ...]]:
            return {f"choice {place}": tuple(range(10)) for place in range(40)}

    drawn = Large().sample(30, seed=1)
    assert Large().size == 10**40 and len({candidate.label for candidate in drawn}) == 30
    counts = Counter(value for candidate in drawn for value in candidate.choices.values())
    assert all(abs(counts[value] - 120) <= 4 * (1200 * 0.1 * 0.9) ** 0.5 for value in range(10))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"depth": 1}, "has the choices depth, width, norm, activation, pooling, not depth"),
        (
            {"depth": 9, "width": 4, "norm": "none", "activation": "relu", "pooling": "avg"},
            "depth of convnet is one of 1, 2, 3, 4, not 9",
        ),
    ],
)
def test_choices_of_another_space_are_refused(choices: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        ConvNetSpace().candidate(choices)


def test_what_is_not_a_space() -> None:
    with pytest.raises(UnknownNameError, match="unknown space 'resnets'"):
        as_space("resnets")
    with pytest.raises(SettingsError, match="cannot be imported"):
        as_space("no.such.module:Space")
    with pytest.raises(SettingsError, match="has no class or function 'Missing'"):
        as_space("tests.nas.test_spaces:Missing")
    with pytest.raises(UnsupportedError, match=r"not an nni\.nas"):
        as_space(lambda: nn.Linear(2, 2)).values()
    with pytest.raises(UnsupportedError, match="a Linear is one network"):
        as_space(nn.Linear(2, 2))
    with pytest.raises(UnsupportedError, match="'inputs' is a CategoricalMultiple"):
        as_space(Several).values()
    with pytest.raises(UnsupportedError, match="must take shape and num_classes, or nothing, not 1"):
        as_space(lambda shape: None).values()
    with pytest.raises(UnsupportedError, match="int is not a space"):
        as_space(3)
    with pytest.raises(SettingsError, match="721 cannot be drawn"):
        ConvNetSpace().sample(721)
    with pytest.raises(SettingsError, match="width_divisor must be"):
        ConvNetSpace(width_divisor=16)
    with pytest.raises(UnsupportedError, match="takes colour images"):
        NasBench201().sample(1)[0].build((1, 32, 32), 10, seed=0)


def test_without_nni_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nni_package, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"\[nas\]"):
        NasBench201(4, 1).sample(1)[0].build((3, 32, 32), 10, seed=0)
    with pytest.raises(MissingExtraError, match=r"\[nas\]"):
        UserSpace(Kernels).values()
