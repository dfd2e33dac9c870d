"""``load_graph``: one graph with a class on each node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddcore.data.npz import read_npz
from ddcore.errors import InputDataError, SettingsError, UnknownNameError
from ddcore.graphs.files import holds
from ddcore.graphs.graph import Graph
from ddcore.graphs.nodes import Nodes
from ddcore.graphs.sparse import sparse
from ddcore.graphs.spec import GraphSpec
from ddcore.parts import Split, TargetData

SETTINGS = ("transductive", "inductive")
SPLITS = {"train": "idx_train", "validation": "idx_val", "test": "idx_test"}
_FILE = {"edges", "y", *SPLITS.values()}
_SPARSE = {"x_indices", "x_indptr", "x_data", "x_shape"}


def load_graph(
    source: object,
    *,
    setting: str = "transductive",
    row_normalise: bool = True,
    undirected: bool = True,
    class_names: Sequence[str] = (),
    num_classes: int | None = None,
    like: GraphSpec | None = None,
) -> TargetData:
    """Load a graph whose nodes have classes.

    Args:
        source: an ``.npz`` file, or a ``Data`` of PyTorch Geometric, or a dataset that holds one.
            A file has ``x`` (``N x d``) or its CSR parts ``x_indices``, ``x_indptr``, ``x_data``,
            ``x_shape``; ``edges`` (``E x 2``), maybe ``edge_weights``; ``y``; and the indices of
            the splits, ``idx_train``, ``idx_val``, ``idx_test``.
        setting: ``transductive``: networks see the whole graph while they train, and classes of
            training nodes only; ``inductive``: they see only the training nodes and the edges among
            these, and each held-out split comes with the whole graph.
        row_normalise: whether each node's features are divided by their sum, as the field does.
            They must not be negative then.
        undirected: whether an edge is taken both ways. If not, edges must come in both directions.
        class_names: one per class.
        num_classes: default: the largest class id and one.
        like: facts of other data that this must fit, such as a summary's ``spec``.

    Raises:
        InputDataError: the graph cannot be used as given.
    """
    if setting not in SETTINGS:
        raise UnknownNameError("setting", setting, SETTINGS)
    name, raw = _read(source)
    features, classes = _features(name, raw["x"], row_normalise), _classes(name, raw["y"])
    weights = _weights(name, raw["edges"], raw.get("edge_weights"), len(features), undirected)
    if len(classes) != len(features):
        raise InputDataError(f"{name}: {len(features)} nodes have {len(classes)} classes: give one each")
    parts = {split: _indices(name, split, raw.get(split), len(features)) for split in SPLITS}
    if parts["train"] is None:
        raise InputDataError(f"{name} has no training nodes: give idx_train, or a train_mask")
    train = parts["train"]
    if bool((classes[torch.cat([p for p in parts.values() if p is not None])] < 0).any()):
        raise InputDataError(f"{name}: a node of a split has no class")
    everyone = torch.cat([p for p in parts.values() if p is not None])
    if len(everyone.unique()) != len(everyone):
        raise InputDataError(f"{name}: a node is in two splits")
    if like is not None:
        num_classes, class_names = like.num_classes, like.class_names
    spec = GraphSpec(
        shape=(features.shape[1],),
        num_classes=num_classes or int(classes.max()) + 1,
        classes=tuple(sorted(classes[train].unique().tolist())),
        class_names=tuple(class_names),
        read_from_examples=("classes", "shape"),
    )
    whole = Graph(features, weights)
    seen, inside = whole, train
    if setting == "inductive":
        dense = whole.induced(train).nonzero().T
        pairs = dense.flip(0)
        seen = Graph(features[train], sparse(pairs, whole.induced(train)[dense[0], dense[1]], len(train)))
        inside = torch.arange(len(train))

    def held_out(nodes: Tensor | None) -> Split | None:
        return None if nodes is None else Split(Nodes.as_inputs(whole, nodes), classes[nodes])

    return TargetData(
        name,
        spec,
        Split(Nodes.as_inputs(seen, inside), classes[train]),
        held_out(parts["test"]),
        held_out(parts["validation"]),
    )


def is_graph_file(path: Path) -> bool:
    """Whether a file is an ``.npz`` with a graph whose nodes have classes."""
    held = holds(path)
    return held >= _FILE - {"idx_val"} and ("x" in held or held >= _SPARSE)


def is_graph(source: object) -> bool:
    """Whether an object looks like a ``Data`` of PyTorch Geometric, or holds one."""
    return hasattr(source, "edge_index") or (hasattr(source, "_data") and hasattr(source, "num_node_features"))


def _read(source: object) -> tuple[str, dict[str, Any]]:
    if isinstance(source, str | Path):
        return _read_file(Path(source))
    if not is_graph(source):
        raise InputDataError(f"a graph is an .npz file or a Data of PyTorch Geometric, not {type(source).__name__}")
    data: Any = source
    if not hasattr(data, "edge_index"):
        if len(data) != 1:
            raise InputDataError(f"{type(source).__name__} holds {len(data)} graphs: give one, as dataset[0]")
        data = data[0]
    name = str(getattr(source, "name", None) or "graph")
    absent = [part for part in ("x", "y", "edge_index") if getattr(data, part, None) is None]
    if absent:
        raise InputDataError(f"{name} has no {', '.join(absent)}: a Data needs x, y and edge_index")
    data = data.cpu().detach()
    raw: dict[str, Any] = {"x": data.x, "y": data.y, "edges": data.edge_index.T}
    weights = getattr(data, "edge_weight", None)
    raw |= {} if weights is None else {"edge_weights": weights}
    for split, mask in (("train", "train_mask"), ("validation", "val_mask"), ("test", "test_mask")):
        given = getattr(data, mask, None)
        if given is not None:
            if given.ndim != 1:
                raise InputDataError(f"{name}: {mask} holds {given.shape[1]} splits: choose one, {mask}[:, i]")
            if len(given) != len(data.x) or given.dtype != torch.bool:
                raise InputDataError(f"{name}: {mask} must be {len(data.x)} truth values, one per node")
            raw[split] = given.nonzero().flatten()
    return name, raw


def _read_file(path: Path) -> tuple[str, dict[str, Any]]:
    if not is_graph_file(path):
        raise InputDataError(
            f"{path} is no graph: an .npz needs {', '.join(sorted(_FILE))}, and x or {sorted(_SPARSE)}"
        )
    held = read_npz(path)
    raw: dict[str, Any] = {"x": held["x"] if "x" in held else _dense(path, held)}
    raw |= {key: held[key] for key in ("y", "edges", "edge_weights") if key in held}
    raw |= {split: held[key] for split, key in SPLITS.items() if key in held}
    return path.stem, raw


def _dense(path: Path, held: dict[str, Any]) -> Any:
    from scipy.sparse import csr_matrix

    try:
        parts = (held["x_data"].astype(np.float32), held["x_indices"].astype(np.int64), held["x_indptr"])
        return csr_matrix(parts, shape=tuple(held["x_shape"].tolist())).toarray()
    except (ValueError, IndexError, TypeError) as error:
        raise InputDataError(f"{path}: x_indices, x_indptr, x_data and x_shape make no matrix: {error}") from error


def _features(name: str, given: Any, row_normalise: bool) -> Tensor:
    features = torch.as_tensor(np.asarray(given)).float() if not isinstance(given, Tensor) else given.cpu().float()
    if features.ndim != 2 or not len(features):
        raise InputDataError(f"{name}: node features must be N x d, not {tuple(features.shape)}")
    if not bool(torch.isfinite(features).all()):
        raise InputDataError(f"{name}: node features hold NaN or infinity: clean the data first")
    if not row_normalise:
        return features
    if bool((features < 0).any()):
        raise InputDataError(f"{name}: negative features cannot be divided by their sum: load with row_normalise=False")
    return features / features.sum(dim=1, keepdim=True).clamp_min(1e-12)


def _classes(name: str, given: Any) -> Tensor:
    classes = torch.as_tensor(np.asarray(given)) if not isinstance(given, Tensor) else given.cpu()
    if classes.ndim == 2 and classes.shape[1] == 1:
        classes = classes[:, 0]
    if classes.ndim != 1 or classes.dtype.is_floating_point:
        raise InputDataError(f"{name}: y must hold one class id per node, not {tuple(classes.shape)} {classes.dtype}")
    return classes.long()


def _weights(name: str, given: Any, weights: Any, nodes: int, undirected: bool) -> Tensor:
    edges = torch.as_tensor(np.asarray(given)).long() if not isinstance(given, Tensor) else given.cpu().long()
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise InputDataError(f"{name}: edges must be E x 2 node indices, not {tuple(edges.shape)}")
    if len(edges) and not (int(edges.min()) >= 0 and int(edges.max()) < nodes):
        raise InputDataError(f"{name}: edges name nodes outside 0..{nodes - 1}")
    values = torch.ones(len(edges)) if weights is None else torch.as_tensor(weights).cpu().float().flatten()
    if len(values) != len(edges) or not bool(torch.isfinite(values).all()) or bool((values < 0).any()):
        raise InputDataError(f"{name}: edge_weights must be {len(edges)} finite numbers that are not negative")
    apart = edges[:, 0] != edges[:, 1]  # networks add self loops where they need them
    edges, values = edges[apart], values[apart]
    if undirected:
        edges, values = torch.cat([edges, edges.flip(1)]), values.repeat(2)
    codes, inverse = (edges[:, 0] * nodes + edges[:, 1]).unique(return_inverse=True)
    single = torch.zeros(len(codes)).scatter_reduce_(0, inverse, values, "amax")
    matrix = sparse(torch.stack([codes // nodes, codes % nodes]), single, nodes)
    if not undirected:
        transposed = (codes % nodes) * nodes + codes // nodes
        ways = transposed.sort()
        if not torch.equal(ways.values, codes) or not torch.equal(single[ways.indices], single):
            raise SettingsError(f"{name}: edges or their weights go one way only: take them both ways, undirected=True")
    return matrix


def _indices(name: str, split: str, given: Any, nodes: int) -> Tensor | None:
    if given is None:
        return None
    indices = torch.as_tensor(np.asarray(given)).long()
    if indices.ndim != 1 or (len(indices) and not (int(indices.min()) >= 0 and int(indices.max()) < nodes)):
        raise InputDataError(f"{name}: the {split} nodes must be indices in 0..{nodes - 1}")
    if len(indices.unique()) != len(indices):
        raise InputDataError(f"{name}: a node stands twice in the {split} split")
    return indices if len(indices) else None
