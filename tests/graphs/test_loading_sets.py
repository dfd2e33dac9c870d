"""Graphs that cannot be what they should be: refused with what to do, before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ddcore as dd
from ddcore.errors import DistillationError, InputDataError
from ddcore.graphs import GraphSet
from tests.graphs.sets import KINDS, arrays, loaded, written


def test_a_file_tells_by_its_content_that_it_holds_many_graphs(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    assert target.spec.modality == "graph_sets" and target.spec.shape == (KINDS,)
    assert target.test is not None and target.validation is not None
    sizes = [len(s) for s in (target.train, target.validation, target.test)]
    assert sizes == [24, 8, 8] and target.counts() == {0: 12, 1: 12}
    parts = [s.inputs.chosen for s in (target.train, target.validation, target.test)]  # type: ignore[attr-defined]
    assert torch.cat(parts).sort().values.tolist() == list(range(40))
    assert all(s.targets.sum() == len(s) // 2 for s in (target.validation, target.test))


def test_graphs_are_those_of_the_file(tmp_path: Path) -> None:
    given, target = arrays(), loaded(tmp_path)
    graphs: GraphSet = target.train.inputs  # type: ignore[assignment]
    for i in range(3):
        alone, number = graphs[torch.tensor([i])].alone(), int(graphs.chosen[i])
        nodes = np.flatnonzero(given["node_graph"] == number)
        assert alone.features.argmax(dim=1).tolist() == given["node_label"][nodes].tolist()
        inside = given["edges"][given["node_graph"][given["edges"][:, 0]] == number] - nodes[0]
        dense = np.zeros((len(nodes), len(nodes)))
        dense[inside[:, 0], inside[:, 1]] = dense[inside[:, 1], inside[:, 0]] = 1
        assert alone.weights is not None and np.array_equal(alone.weights.to_dense().numpy(), dense)


def test_nodes_may_come_in_any_order(tmp_path: Path) -> None:
    given = arrays()
    order = np.random.default_rng(1).permutation(len(given["node_graph"]))
    place = order.argsort()
    mixed = {
        "node_graph": given["node_graph"][order],
        "node_label": given["node_label"][order],
        "edges": place[given["edges"]],
    }
    found = dd.load_data(written(tmp_path / "mixed.npz", **mixed), test=0.2, validation=0.2)
    network = dd.networks.as_architecture("gcn(width=8,depth=3,dropout=0)").build((KINDS,), 2, seed=0)
    expected = network(loaded(tmp_path).train.inputs)
    assert torch.allclose(network(found.train.inputs), expected, atol=1e-6)


def test_without_kinds_or_features_the_degree_is_the_feature(tmp_path: Path) -> None:
    given = arrays()
    given.pop("node_label")
    np.savez(tmp_path / "plain.npz", **given)
    target = dd.load_data(tmp_path / "plain.npz")
    alone = target.train.inputs[torch.tensor([0])].alone()  # type: ignore[index]
    assert target.spec.shape == (1,)
    assert torch.equal(alone.features[:, 0], alone.weights.to_dense().sum(dim=1))


def test_a_list_of_data_of_pytorch_geometric_is_the_same_set(tmp_path: Path) -> None:
    from torch_geometric.data import Data

    given = arrays()
    datas = []
    for g in range(40):
        nodes = np.flatnonzero(given["node_graph"] == g)
        inside = given["edges"][given["node_graph"][given["edges"][:, 0]] == g] - nodes[0]
        x = torch.nn.functional.one_hot(torch.from_numpy(given["node_label"][nodes]), KINDS).float()
        datas.append(Data(x, torch.from_numpy(inside).T, y=torch.tensor([int(given["graph_label"][g] > 0)])))
    found, expected = dd.load_data(datas, test=0.2, validation=0.2), loaded(tmp_path)
    for a, b in zip(found.train.inputs.tensors(), expected.train.inputs.tensors(), strict=True):  # type: ignore[attr-defined]
        assert torch.equal(a, b)
    datas[3].y = None
    with pytest.raises(InputDataError, match="one class id as its y"):
        dd.load_data(datas)
    datas[3].y, datas[3].edge_weight = torch.tensor([0]), torch.ones(datas[3].num_edges)
    with pytest.raises(InputDataError, match="leave edge_weight out"):
        dd.load_data(datas)


def test_given_splits_are_kept(tmp_path: Path) -> None:
    splits: dict[str, Any] = {"idx_train": np.arange(20), "idx_val": np.arange(20, 30), "idx_test": np.arange(30, 40)}
    target = dd.load_data(written(tmp_path / "split.npz", **splits))
    assert target.train.inputs.chosen.tolist() == list(range(20))  # type: ignore[attr-defined]
    splits["idx_val"] = np.arange(19, 30)
    with pytest.raises(InputDataError, match="no graph twice"):
        dd.load_data(written(tmp_path / "split.npz", **splits))


def test_seeds_give_other_splits(tmp_path: Path) -> None:
    first, again, other = (loaded(tmp_path, seed=seed).fingerprint() for seed in (0, 0, 1))
    assert first == again != other


BAD: dict[str, dict[str, np.ndarray]] = {
    "outside": {"edges": np.array([[0, 10**6]])},
    "links two graphs": {"edges": np.array([[0, 30]])},
    "E x 2": {"edges": np.zeros((2, 5), dtype=np.int64)},
    "must name, for each node": {"node_graph": arrays()["node_graph"] + 1},
    "1 to 32768 nodes": {"graph_label": np.zeros(41, dtype=np.int64)},
    "whole numbers": {"graph_label": np.zeros(40)},
    "finite numbers": {"x": np.full((len(arrays()["node_graph"]), 2), np.nan)},
    "ids from 0": {"node_label": -np.ones_like(arrays()["node_label"])},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_files_are_refused(message: str, tmp_path: Path) -> None:
    with pytest.raises(DistillationError, match=message):
        dd.load_data(written(tmp_path / "bad.npz", **BAD[message]))


def test_an_area_needs_every_class_in_every_split(tmp_path: Path) -> None:
    splits = {"idx_train": np.arange(20), "idx_val": np.arange(20, 40, 2), "idx_test": np.arange(21, 40, 2)}
    with pytest.raises(InputDataError, match="every class in every split"):
        dd.load_data(written(tmp_path / "split.npz", **splits), score="roc_auc")
