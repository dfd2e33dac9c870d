"""Graphs that cannot be what they should be: refused with what to do, before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ddcore as dd
from ddcore.errors import DistillationError, DistillationWarning, InputDataError, SettingsError, UnknownNameError
from ddcore.graphs import Nodes
from tests.graphs.data import NODES, arrays, loaded, written


def weights_of(target: dd.TargetData) -> torch.Tensor:
    nodes: Nodes = target.train.inputs  # type: ignore[assignment]
    assert nodes.graph.weights is not None
    return nodes.graph.weights.to_dense()


def test_a_file_tells_by_its_content_that_it_is_a_graph(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    assert target.spec.modality == "graphs" and target.counts() == {0: 10, 1: 10, 2: 10}
    assert target.validation is not None and target.test is not None
    assert (len(target.validation), len(target.test)) == (12, 18)
    features = target.train.inputs.graph.features  # type: ignore[attr-defined]
    assert torch.allclose(features.sum(dim=1), torch.ones(NODES))
    digits = dd.load_data("digits")
    np.savez(tmp_path / "images.npz", x_train=digits.train.inputs[:30], y_train=digits.train.targets[:30])
    assert dd.load_data(tmp_path / "images.npz").spec.modality == "images"


def test_sparse_features_are_those_of_the_dense_file(tmp_path: Path) -> None:
    from scipy.sparse import csr_matrix

    given = arrays()
    x = csr_matrix(given.pop("x"))
    parts = {"x_data": x.data, "x_indices": x.indices, "x_indptr": x.indptr, "x_shape": np.array(x.shape)}
    np.savez(tmp_path / "sparse.npz", **given, **parts)
    found, dense = dd.load_data(tmp_path / "sparse.npz"), loaded(tmp_path)
    assert torch.allclose(found.train.inputs.flatten(1), dense.train.inputs.flatten(1))
    np.savez(tmp_path / "bad.npz", **given, **(parts | {"x_shape": np.array([3, 3])}))
    with pytest.raises(InputDataError, match="make no matrix"):
        dd.load_data(tmp_path / "bad.npz")


def test_a_data_of_pytorch_geometric_is_the_same_graph(tmp_path: Path) -> None:
    from torch_geometric.data import Data

    given = arrays()
    masks = {}
    for name, key in (("train_mask", "idx_train"), ("val_mask", "idx_val"), ("test_mask", "idx_test")):
        masks[name] = torch.zeros(NODES, dtype=torch.bool)
        masks[name][given[key]] = True
    data = Data(
        torch.from_numpy(given["x"]), torch.from_numpy(given["edges"]).T, y=torch.from_numpy(given["y"]), **masks
    )
    found, file = dd.load_data(data), loaded(tmp_path)
    assert torch.equal(weights_of(found), weights_of(file))
    assert torch.equal(found.train.targets, file.train.targets)
    data.test_mask = masks["test_mask"][:50]
    with pytest.raises(InputDataError, match="60 truth values"):
        dd.load_data(data)
    with pytest.raises(InputDataError, match="has no x, y"):
        dd.load_data(Data(edge_index=data.edge_index, train_mask=masks["train_mask"]))
    data.train_mask = torch.stack([masks["train_mask"]] * 10, dim=1)
    with pytest.raises(InputDataError, match="holds 10 splits: choose one"):
        dd.load_data(data)


def test_edges_are_taken_both_ways_and_self_loops_left_to_the_networks(tmp_path: Path) -> None:
    edges, weights = np.array([[0, 1], [1, 0], [2, 2], [3, 4]]), np.array([0.5, 0.7, 9.0, 2.0])
    found = weights_of(dd.load_data(written(tmp_path / "a.npz", edges=edges, edge_weights=weights)))
    expected = torch.zeros(NODES, NODES)
    expected[0, 1] = expected[1, 0] = 0.7
    expected[3, 4] = expected[4, 3] = 2.0
    assert torch.equal(found, expected)
    with pytest.raises(SettingsError, match="go one way only"):
        dd.load_data(tmp_path / "a.npz", undirected=False)
    uneven = written(tmp_path / "b.npz", edges=np.array([[0, 1], [1, 0]]), edge_weights=np.array([0.2, 0.9]))
    with pytest.raises(SettingsError, match="or their weights go one way only"):
        dd.load_data(uneven, undirected=False)


def test_a_graph_without_an_edge_is_a_graph(tmp_path: Path) -> None:
    target = dd.load_data(written(tmp_path / "a.npz", edges=np.zeros((0, 2), dtype=np.int64)))
    assert not bool(weights_of(target).any())


def infinite() -> np.ndarray:
    x = arrays()["x"]
    x[5, 2] = np.nan
    return x


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"edges": np.array([[0, 60]])}, "outside 0..59"),
        ({"edges": np.array([[-1, 3]])}, "outside 0..59"),
        ({"edges": np.array([0, 1])}, "E x 2"),
        ({"edge_weights": np.ones(3)}, "edge_weights must be"),
        ({"edge_weights": -np.ones(len(arrays()["edges"]))}, "not negative"),
        ({"x": infinite()}, "NaN or infinity"),
        ({"x": -arrays()["x"]}, "row_normalise=False"),
        ({"x": arrays()["x"][:50]}, "50 nodes have 60 classes|outside 0..49"),
        ({"y": arrays()["y"].astype(np.float32)}, "one class id per node"),
        ({"y": np.where(np.arange(60) == 3, -1, arrays()["y"])}, "has no class"),
        ({"idx_train": np.array([], dtype=np.int64)}, "no training nodes"),
        ({"idx_train": np.array([0, 1, 1])}, "twice"),
        ({"idx_test": np.array([70])}, "indices in 0..59"),
        ({"idx_test": np.array([3, 50])}, "in two splits"),
    ],
)
def test_what_is_amiss_is_said(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match=said):
        dd.load_data(written(tmp_path / "a.npz", **changes))


def test_a_class_without_labelled_nodes_gets_none(tmp_path: Path) -> None:
    train = np.flatnonzero(arrays()["y"] != 2)[:20]
    with pytest.warns(DistillationWarning, match=r"without a training example \(2\)"):
        target = dd.load_data(written(tmp_path / "a.npz", idx_train=train))
    assert target.spec.classes == (0, 1) and target.spec.num_classes == 3
    summary = dd.distill(target, dd.methods.build_method("random", ipc=2, target=target))
    assert summary.counts == {0: 2, 1: 2}


def test_unknown_settings_and_pickles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="setting"):
        loaded(tmp_path, setting="reductive")
    np.savez(tmp_path / "pickle.npz", **{**arrays(), "x": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(InputDataError, match="array of objects"):
        dd.load_data(tmp_path / "pickle.npz")
    with pytest.raises(DistillationError):
        dd.load_data(tmp_path / "absent.npz")


def test_a_budget_larger_than_the_labelled_nodes_is_refused(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    with pytest.raises(DistillationError, match="11"):
        dd.distill(target, dd.methods.build_method("gcond", ipc=11, preset="cpu"))
