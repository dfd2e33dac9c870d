"""Stored graphs are a stranger's: what is amiss is an error of ours, and soon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import ddcore as dd
from ddcore.errors import SummaryFormatError
from tests.graphs.sets import loaded
from tests.summary.strangers import Tensors, put, rewritten


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    target = loaded(folder)
    return dd.distill(target, dd.methods.build_method("random", ipc=2, target=target), seed=0).save(folder / "kept")


def huge(tensors: Tensors) -> Tensors:
    """A million nodes of one graph."""
    one = torch.tensor([10**6], dtype=torch.int32)
    features = torch.zeros(10**6, 4)
    return {
        **tensors,
        "part0.features": features,
        "part0.nodes": one,
        "part0.classes": torch.zeros(1, dtype=torch.uint8),
    }


TENSORS: list[Callable[[Tensors], Tensors]] = [
    lambda t: put(t, "edges", t["part0.edges"].long()),
    lambda t: put(t, "edges", t["part0.edges"] + 10**9),
    lambda t: put(t, "edges", -t["part0.edges"]),
    lambda t: put(t, "edges", torch.zeros_like(t["part0.edges"])),  # from node 0 to itself
    lambda t: put(t, "edges", t["part0.edges"][[0, 0]].clone()),  # the same edge twice
    lambda t: put(t, "edges", torch.tensor([len(t["part0.features"]) - 1], dtype=torch.int32)),  # to another graph
    lambda t: put(t, "nodes", t["part0.nodes"].long()),
    lambda t: put(t, "nodes", t["part0.nodes"] + 1),
    lambda t: put(t, "nodes", t["part0.nodes"] * torch.tensor([0, 1, 1, 1], dtype=torch.int32)),
    lambda t: put(t, "nodes", t["part0.nodes"][:3].clone()),
    lambda t: put(t, "features", t["part0.features"] * float("nan")),
    lambda t: put(t, "features", t["part0.features"][:, :3].clone()),
    lambda t: put(t, "features", t["part0.features"].half()),
    lambda t: put(t, "classes", t["part0.classes"][:3].clone()),
    huge,
    lambda t: {k: v for k, v in t.items() if k != "part0.nodes"},
    lambda t: put(t, "more", torch.zeros(1)),
]
CONFIGS: list[Callable[[Any], object]] = [
    lambda c: c["parts"][0].update(storage="uint8"),
    lambda c: c["parts"][0].update(nodes=10**9),
    lambda c: c["spec"].update(mean_nodes="6"),
    lambda c: c["spec"].update(mean_nodes=float("nan")),
    lambda c: c["spec"].update(most_nodes=10**9),
    lambda c: c["spec"].update(most_edges=-1),
    lambda c: c["spec"].update(score="loss"),
    lambda c: c["spec"].update(score=["accuracy"]),
    lambda c: c["spec"].pop("most_edges"),
    lambda c: c["spec"].update(shape=[10**9]),
    lambda c: c["spec"].update(modality="graphs"),
]


@pytest.mark.parametrize("number", range(len(TENSORS)))
def test_tensors_that_make_no_graphs_are_refused(number: int, stored: Path, tmp_path: Path) -> None:
    tensors = load_file(stored / "summary.safetensors")
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(rewritten(stored, tmp_path, TENSORS[number](tensors)))


@pytest.mark.parametrize("number", range(len(CONFIGS)))
def test_facts_that_make_no_graphs_are_refused(number: int, stored: Path, tmp_path: Path) -> None:
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(rewritten(stored, tmp_path, change=CONFIGS[number]))


def test_an_honest_summary_passes_the_same_way(stored: Path, tmp_path: Path) -> None:
    tensors = load_file(stored / "summary.safetensors")
    assert len(dd.DataSummary.load(rewritten(stored, tmp_path, tensors))) == 4


def test_graphs_of_a_summary_are_sorted_by_class(stored: Path, tmp_path: Path) -> None:
    """Stored in another order they are the same graphs, each with its class."""
    tensors = load_file(stored / "summary.safetensors")
    tensors["part0.classes"] = torch.tensor([1, 0, 0, 1], dtype=torch.uint8)
    found = dd.DataSummary.load(rewritten(stored, tmp_path, tensors)).tensors()
    first = dd.DataSummary.load(stored).tensors()
    assert found[1].tolist() == [0, 0, 1, 1]
    for place, was in enumerate([1, 2, 0, 3]):
        ours, theirs = (t[0][torch.tensor([i])].alone() for t, i in ((found, place), (first, was)))
        assert torch.equal(ours.features, theirs.features) and torch.equal(ours.edges()[0], theirs.edges()[0])
