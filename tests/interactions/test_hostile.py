"""Stored users are a stranger's: what is amiss is an error of ours, and soon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import ddcore as dd
from ddcore.errors import SummaryFormatError
from tests.interactions.data import ITEMS, tastes
from tests.summary.strangers import Tensors, load_with_changed_bytes, put, rewritten


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    method = dd.override(dd.methods.distill_cf(ipc=3, preset="cpu"), "factorization.keep", 6)
    method = dd.override(method, "factorization.draws", 5)  # so that not all weights are 1
    return dd.distill(tastes(), method.with_steps(1), seed=0).save(tmp_path_factory.mktemp("stored") / "kept")


@pytest.fixture(scope="module")
def logits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    method = dd.override(dd.methods.distill_cf(ipc=3, preset="cpu"), "factorization.stored_as", "logits")
    return dd.distill(tastes(), method.with_steps(1), seed=0).save(tmp_path_factory.mktemp("stored") / "kept")


TENSORS: list[Callable[[Tensors], Tensors]] = [
    lambda t: put(t, "items", t["part0.items"].int()),
    lambda t: put(t, "items", t["part0.items"] + ITEMS),
    lambda t: put(t, "items", -t["part0.items"] - 1),
    lambda t: put(t, "items", torch.zeros_like(t["part0.items"])),  # the same item again and again
    lambda t: put(t, "items", t["part0.items"][:5].clone()),
    lambda t: put(t, "sizes", t["part0.sizes"].long()),
    lambda t: put(t, "sizes", t["part0.sizes"] + 1),
    lambda t: put(t, "sizes", t["part0.sizes"] * torch.tensor([0, 1, 1], dtype=torch.int32)),
    lambda t: put(t, "sizes", torch.full_like(t["part0.sizes"], 10**9)),
    lambda t: put(t, "sizes", -t["part0.sizes"]),
    lambda t: put(t, "sizes", t["part0.sizes"][:0].clone()),
    lambda t: put(t, "weights", torch.zeros_like(t["part0.weights"])),
    lambda t: put(t, "weights", t["part0.weights"].float()),
    lambda t: put(t, "weights", t["part0.weights"][:3].clone()),
    lambda t: {k: v for k, v in t.items() if k != "part0.sizes"},
    lambda t: put(t, "more", torch.zeros(1)),
]
CONFIGS: list[Callable[[Any], object]] = [
    lambda c: c["parts"][0].update(stored_as="logits"),
    lambda c: c["parts"][0].update(stored_as=7),
    lambda c: c["parts"][0].update(draws=10**9),
    lambda c: c["parts"][0].pop("stored_as"),
    lambda c: c["spec"].update(shape=[10**9], num_classes=10**9),  # a billion items
    lambda c: c["spec"].update(shape=[10**6], num_classes=10**6),
    lambda c: c["spec"]["items"].pop(),
    lambda c: c["spec"]["items"].__setitem__(0, c["spec"]["items"][1]),
    lambda c: c["spec"]["items"].__setitem__(0, 7),
    lambda c: c["spec"]["items"].__setitem__(0, "x" * 10_000),
    lambda c: c["spec"].update(items="0" * ITEMS),
    lambda c: c["spec"].update(classes=[0, 1]),
    lambda c: c["spec"].update(at=[]),
    lambda c: c["spec"].update(at=[-1]),
    lambda c: c["spec"].update(at=["5"]),
    lambda c: c["spec"].update(mean_interactions=float("nan")),
    lambda c: c["spec"].update(mean_interactions="7"),
    lambda c: c["spec"].update(normalisation={"name": "columns"}),
    lambda c: c["spec"].update(extra=1),
    lambda c: c["recipe"].update(loss="squared_error"),
]
LOGITS: list[Callable[[Any], object]] = [
    lambda c: c["parts"][0].update(gumbels=None, draws=10**9),
    lambda c: c["parts"][0].update(draws="200"),
    lambda c: c["parts"][0].update(temperature=0.0),
    lambda c: c["parts"][0].update(temperature="1"),
    lambda c: c["parts"][0].update(temperature=float("nan")),
    lambda c: c["parts"][0].update(keep=0),
    lambda c: c["parts"][0].update(noise_seed=2**80),
]


@pytest.mark.parametrize("number", range(len(TENSORS)))
def test_tensors_that_make_no_users_are_refused(number: int, stored: Path, tmp_path: Path) -> None:
    tensors = load_file(stored / "summary.safetensors")
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(rewritten(stored, tmp_path, TENSORS[number](tensors)))


@pytest.mark.parametrize("number", range(len(CONFIGS)))
def test_facts_that_make_no_users_are_refused(number: int, stored: Path, tmp_path: Path) -> None:
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(rewritten(stored, tmp_path, change=CONFIGS[number]))


@pytest.mark.parametrize("number", range(len(LOGITS)))
def test_sampling_that_would_not_end_is_refused(number: int, logits: Path, tmp_path: Path) -> None:
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(rewritten(logits, tmp_path, change=LOGITS[number]))


@pytest.mark.parametrize("change", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_refused(change: float, logits: Path, tmp_path: Path) -> None:
    tensors = load_file(logits / "summary.safetensors")
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(rewritten(logits, tmp_path, put(tensors, "logits", tensors["part0.logits"] * change)))


def test_an_honest_summary_passes_the_same_way(stored: Path, logits: Path, tmp_path: Path) -> None:
    for path in (stored, logits):
        tensors = load_file(path / "summary.safetensors")
        assert len(dd.DataSummary.load(rewritten(path, tmp_path, tensors))) == 3


def test_any_byte_of_the_tensors_may_be_changed(stored: Path, tmp_path: Path) -> None:
    load_with_changed_bytes(stored, tmp_path)
