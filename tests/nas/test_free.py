"""Scores without training: against counts by hand, and what they must not depend on."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import ddcore as dd
from ddapps.nas import FREE, ConvNetSpace, FreeEvaluator, SearchSpace, rank
from ddapps.nas.free import naswot
from ddcore.errors import CandidateError, UnknownNameError
from ddcore.images import ConvNet
from tests.nas.conftest import SHORT, Tiny


def test_counts_are_those_by_hand(digits: dd.TargetData) -> None:
    """8 px, one block of width 4 with instance norm, pooled to 4 px, ten classes."""
    network = ConvNet(width=4, depth=1, pooling="max")
    convolution, norm, head = 4 * 9 + 4, 2 * 4, (4 * 16 + 1) * 10
    assert FreeEvaluator("parameters", digits)(network) == convolution + norm + head
    assert FreeEvaluator("flops", digits)(network) == 8 * 8 * 4 * 9 + 4 * 16 * 10

    def half_frozen() -> nn.Module:
        module = network.module((1, 8, 8), 10)
        for weight in next(iter(module.children())).parameters():
            weight.requires_grad_(False)
        return module

    assert FreeEvaluator("parameters", digits)(half_frozen) == head


@pytest.mark.parametrize(
    "activation",
    [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.LeakyReLU(),
        nn.Sigmoid(),
        nn.GELU(),
        nn.SiLU(),
        nn.Tanh(),
        nn.PReLU(),
        nn.ELU(),
    ],
    ids=lambda module: type(module).__name__,
)
def test_the_code_is_the_sign_of_what_goes_into_any_activation(activation: nn.Module) -> None:
    torch.manual_seed(0)
    first, inputs = nn.Linear(5, 7), torch.randn(6, 5)
    module = nn.Sequential(first, activation, nn.Linear(7, 3))
    codes = (first(inputs) > 0).double()
    kernel = codes @ codes.T + (1 - codes) @ (1 - codes).T
    expected = math.log(torch.linalg.det(kernel + torch.eye(6, dtype=torch.float64)).item())
    assert naswot(module, inputs) == pytest.approx(expected, rel=1e-9)


def test_activations_count_however_they_are_called_and_layers_add_up() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(5, 7), nn.Linear(7, 4)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.second(nn.functional.leaky_relu(self.first(inputs))))

    torch.manual_seed(0)
    one, inputs = Functional(), torch.randn(6, 5)
    same = nn.Sequential(one.first, nn.LeakyReLU(), one.second, nn.ReLU())
    assert naswot(one, inputs) == naswot(same, inputs) > naswot(nn.Sequential(one.first, nn.LeakyReLU()), inputs)
    assert naswot(nn.Linear(5, 2), inputs) == 0
    alike = naswot(same, inputs[:1].expand(6, 5))
    assert math.isfinite(alike) and alike == pytest.approx(math.log1p(6 * 11)), "the identity keeps it finite"


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "instance", "group"])
def test_every_kind_of_network_of_the_space_has_all_three(digits: dd.TargetData, norm: str) -> None:
    for activation in ("sigmoid", "relu", "leaky_relu"):
        choices = {"depth": 2, "width": 4, "norm": norm, "activation": activation, "pooling": "max"}
        candidate = ConvNetSpace().candidate(choices)
        scores = [FreeEvaluator(kind, digits)(candidate) for kind in FREE]
        assert all(math.isfinite(score) and score > 0 for score in scores)


def test_only_naswot_depends_on_the_seed(digits: dd.TargetData) -> None:
    network = ConvNet(width=8, depth=1)
    scores = {kind: [FreeEvaluator(kind, digits, seed)(network) for seed in (0, 0, 1)] for kind in FREE}
    assert len(set(scores["parameters"])) == len(set(scores["flops"])) == 1
    assert scores["naswot"][0] == scores["naswot"][1] != scores["naswot"][2]
    facts = [FreeEvaluator(kind, digits, seed).facts() for kind in FREE for seed in (0, 1)]
    assert [facts[i] == facts[i + 1] for i in (0, 2, 4)] == [True, True, False]


def test_what_cannot_be_counted(digits: dd.TargetData) -> None:
    with pytest.raises(UnknownNameError, match="unknown free score 'speed'"):
        FreeEvaluator("speed", digits)
    with pytest.raises(CandidateError, match="cannot be halved 9 times"):
        FreeEvaluator("flops", digits)(ConvNet(width=4, depth=9))


class Uncountable(Tiny):
    """Trains, but its forward pass needs gradients."""

    name = "uncountable"

    def build(self, choices: Any, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        class Needing(nn.Module):
            def __init__(self, network: nn.Module) -> None:
                super().__init__()
                self.network = network

            def forward(self, inputs: torch.Tensor) -> torch.Tensor:
                if self.training and not torch.is_grad_enabled():
                    raise RuntimeError("needs gradients")
                logits: torch.Tensor = self.network(inputs)
                return logits

        return Needing(super().build(choices, shape, num_classes))


def ranked(digits: dd.TargetData, space: SearchSpace, proxies: str, **changes: Any) -> dict[str, Any]:
    settings = {"sample": 4, "seeds": 2, "protocol": SHORT, "full": SHORT, "workers": 1, "top": (1,), **changes}
    return rank(digits, space, proxies, **settings).to_json()


def test_they_are_in_every_comparison_with_their_cost(digits: dd.TargetData) -> None:
    entry = ranked(digits, Tiny(), "random:4", sample=6)
    rows = {row["name"]: row for row in entry["proxies"]}
    assert [*rows] == ["random:4", *FREE]
    sample = Tiny().sample(6)
    assert rows["parameters"]["scores"] == [[FreeEvaluator("parameters", digits)(each) for each in sample]]
    assert len(rows["naswot"]["scores"]) == 2 and rows["naswot"]["making_seconds"] == 0
    assert 0 < rows["naswot"]["whole_seconds_per_candidate"] < rows["random:4"]["seconds_per_candidate"] * 5
    assert [row["name"] for row in ranked(digits, Tiny(), "parameters,random:4")["proxies"]] == [
        "parameters",
        "random:4",
        "flops",
        "naswot",
    ]


def test_one_that_cannot_be_counted_costs_no_row_an_architecture(digits: dd.TargetData) -> None:
    entry = ranked(digits, Uncountable(), "random:4")
    assert entry["truth"]["n"] == 4 and not entry["failed"]
    assert "needs gradients" in entry["unranked"]["naswot"]
    assert {"random:4", "parameters", "flops"} <= {row["name"] for row in entry["proxies"]}
