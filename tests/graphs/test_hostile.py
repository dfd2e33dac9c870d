"""A stored graph is a stranger's: what is amiss is an error of ours, and soon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import ddcore as dd
from ddcore.errors import SummaryFormatError
from tests.graphs.data import loaded
from tests.summary.strangers import Tensors, load_with_changed_bytes, put, rewritten


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    method = dd.override(dd.methods.build_method("gcond", ipc=2, preset="cpu"), "factorization.width", 4)
    return dd.distill(loaded(folder), method.with_steps(1), seed=0).save(folder / "kept")


def no_edges() -> Tensors:
    return {"part0.edges": torch.zeros(0, dtype=torch.int32), "part0.weights": torch.zeros(0)}


TENSORS: list[Callable[[Tensors], Tensors]] = [
    lambda t: put(t, "edges", t["part0.edges"].long()),
    lambda t: put(t, "edges", t["part0.edges"] + 10**9),
    lambda t: put(t, "edges", -t["part0.edges"]),
    lambda t: put(t, "edges", torch.zeros_like(t["part0.edges"])),  # from node 0 to itself
    lambda t: put(t, "edges", torch.ones_like(t["part0.edges"])),  # the same edge again and again
    lambda t: put(t, "edges", t["part0.edges"][:3].clone()),
    lambda t: put(t, "weights", -t["part0.weights"]),
    lambda t: put(t, "weights", t["part0.weights"] * float("nan")),
    lambda t: put(t, "weights", t["part0.weights"] * float("inf")),
    lambda t: put(t, "weights", t["part0.weights"].double()),
    lambda t: put(t, "features", t["part0.features"] * float("nan")),
    lambda t: put(t, "features", t["part0.features"][:, :5].clone()),
    lambda t: {
        "part0.features": torch.zeros(5000, 12),
        "part0.classes": torch.zeros(5000, dtype=torch.uint8),
        **no_edges(),
    },
    lambda t: put(t, "classes", t["part0.classes"] + 3),
    lambda t: {k: v for k, v in t.items() if k != "part0.weights"},
    lambda t: put(t, "more", torch.zeros(1)),
]
CONFIGS: list[Callable[[Any], object]] = [
    lambda c: c["parts"][0].update(threshold="0"),
    lambda c: c["parts"][0].update(threshold=-1.0),
    lambda c: c["parts"][0].update(storage="uint8"),
    lambda c: c["parts"][0].update(width=10**9),
    lambda c: c["parts"][0].pop("threshold"),
    lambda c: c["spec"].update(shape=[3, 4]),
    lambda c: c["spec"].update(shape=[10**9]),
    lambda c: c["spec"].update(classes="012"),
    lambda c: c["spec"].update(normalisation={"name": "standardise"}),
    lambda c: c["spec"].update(extra=1),
    lambda c: c["spec"].update(modality="tables"),
    lambda c: c["spec"].pop("modality"),
]


@pytest.mark.parametrize("number", range(len(TENSORS)))
def test_tensors_that_make_no_graph_are_refused(number: int, stored: Path, tmp_path: Path) -> None:
    tensors = load_file(stored / "summary.safetensors")
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(rewritten(stored, tmp_path, TENSORS[number](tensors)))


@pytest.mark.parametrize("number", range(len(CONFIGS)))
def test_facts_that_make_no_graph_are_refused(number: int, stored: Path, tmp_path: Path) -> None:
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(rewritten(stored, tmp_path, change=CONFIGS[number]))


def test_an_honest_summary_passes_the_same_way(stored: Path, tmp_path: Path) -> None:
    tensors = load_file(stored / "summary.safetensors")
    assert len(dd.DataSummary.load(rewritten(stored, tmp_path, tensors))) == 6


def test_any_byte_of_the_tensors_may_be_changed(stored: Path, tmp_path: Path) -> None:
    load_with_changed_bytes(stored, tmp_path)
