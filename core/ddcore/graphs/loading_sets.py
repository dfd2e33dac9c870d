"""``load_graphs``: many graphs with a class each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddcore.data.npz import read_npz
from ddcore.errors import InputDataError
from ddcore.graphs.files import holds
from ddcore.graphs.graph import Graph
from ddcore.graphs.graph_set import GraphSet, starts_of
from ddcore.graphs.sparse import sparse
from ddcore.graphs.spec import MOST_NODES, GraphSetSpec
from ddcore.parts import Classification, Split, TargetData, stratified_split

NEEDED = {"edges", "node_graph", "graph_label"}
SPLITS = {"train": "idx_train", "validation": "idx_val", "test": "idx_test"}


def load_graphs(
    source: object,
    *,
    test: float = 0.1,
    validation: float = 0.1,
    seed: int = 0,
    score: str = "accuracy",
    class_names: Sequence[str] = (),
    num_classes: int | None = None,
    like: GraphSetSpec | None = None,
) -> TargetData:
    """Load graphs of which each has a class.

    Args:
        source: an ``.npz`` file, or a list or dataset of ``Data`` of PyTorch Geometric, whose ``y``
            is one class id each. A file has ``edges`` (``E x 2``, indices of nodes), ``node_graph``
            (the graph of each node), ``graph_label``, and features: ``x`` (``N x d``), or
            ``node_label``, which become one-hot. Without either a node's degree is its feature.
            It may hold the indices of the splits, ``idx_train``, ``idx_val``, ``idx_test``.
        test: share of the graphs that becomes the test split, unless the file has splits. Each
            class gives such a share.
        validation: likewise.
        seed: of the splits.
        score: what reports show and weights are chosen by: ``accuracy`` or ``roc_auc``.
        class_names: one per class.
        num_classes: default: the largest class id and one.
        like: facts of other data that this must fit, such as a summary's ``spec``.

    Edges are taken both ways, once; an edge from a node to itself is dropped. Class ids that are
    not 0, 1, ... are numbered in ascending order.

    Raises:
        InputDataError: the graphs cannot be used as given.
    """
    name, raw = _read(source)
    owner = torch.as_tensor(np.asarray(raw["node_graph"])).long()
    classes = _classes(name, raw["graph_label"], like)
    if owner.ndim != 1 or not len(owner) or int(owner.min()) < 0 or int(owner.max()) >= len(classes):
        raise InputDataError(f"{name}: node_graph must name, for each node, one of {len(classes)} graphs")
    sizes = torch.bincount(owner, minlength=len(classes))
    if int(sizes.min()) == 0 or int(sizes.max()) > MOST_NODES:
        raise InputDataError(
            f"{name}: every graph needs 1 to {MOST_NODES} nodes; they have {sizes.min()} to {sizes.max()}"
        )
    order = owner.argsort(stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    edges = _edges(name, raw["edges"], owner)
    codes = place[edges]
    both = torch.cat([codes, codes.flip(1)])
    both = both[both[:, 0] != both[:, 1]].unique(dim=0)
    width = None if like is None else like.shape[0]
    features = _features(name, raw, len(owner), torch.bincount(both[:, 0], minlength=len(order))[place], width)[order]
    union = Graph(features, sparse(both.T, torch.ones(len(both)), len(order)))
    starts = starts_of(sizes)
    parts = _parts(name, raw, classes, test, validation, seed)
    degrees = torch.bincount(owner[order][both[:, 0]], minlength=len(classes)) // 2
    train = parts["train"]
    if score == "roc_auc" and any(len(classes[p].unique()) < len(classes.unique()) for p in parts.values() if len(p)):
        raise InputDataError(f"{name}: the area under the ROC curve needs every class in every split")
    spec = GraphSetSpec(
        shape=(features.shape[1],),
        num_classes=(num_classes or int(classes.max()) + 1) if like is None else like.num_classes,
        classes=tuple(sorted(classes[train].unique().tolist())),
        class_names=tuple(class_names) if like is None else like.class_names,
        task=Classification(by=score) if like is None else like.task,
        mean_nodes=float(sizes[train].double().mean()),
        mean_edges=float(degrees[train].double().mean()),
        most_nodes=int(sizes[train].max()),
        most_edges=int(degrees[train].max()),
        read_from_examples=("classes", "shape", "sizes"),
    )
    made = {split: Split(GraphSet.as_inputs(union, starts, p), classes[p]) for split, p in parts.items() if len(p)}
    return TargetData(name, spec, made["train"], made.get("test"), made.get("validation"))


def is_graphs_file(path: Path) -> bool:
    """Whether a file is an ``.npz`` with graphs that have a class each."""
    return holds(path) >= NEEDED


def are_graphs(source: object) -> bool:
    """Whether an object looks like a list or a dataset of several ``Data`` of PyTorch Geometric."""
    if hasattr(source, "edge_index") or not hasattr(source, "__len__") or not hasattr(source, "__getitem__"):
        return False
    if isinstance(source, list | tuple):
        return bool(source) and all(hasattr(data, "edge_index") for data in source)
    return hasattr(source, "num_node_features") and len(source) > 1


def _read(source: object) -> tuple[str, Mapping[str, Any]]:
    if isinstance(source, str | Path):
        path = Path(source)
        if not is_graphs_file(path):
            raise InputDataError(f"{path} holds no graphs: an .npz needs {', '.join(sorted(NEEDED))}")
        return path.stem, read_npz(path)
    if not are_graphs(source):
        raise InputDataError(
            f"graphs are an .npz file or a list of Data of PyTorch Geometric, not {type(source).__name__}"
        )
    datas: list[Any] = list(source)  # type: ignore[call-overload]
    name = str(getattr(source, "name", None) or "graphs")
    if any(getattr(data, "y", None) is None or torch.as_tensor(data.y).numel() != 1 for data in datas):
        raise InputDataError(f"{name}: every Data needs one class id as its y")
    if any(getattr(data, "edge_weight", None) is not None for data in datas):
        raise InputDataError(f"{name}: graphs with weights on edges are not supported: leave edge_weight out")
    sizes = torch.tensor([int(data.num_nodes) for data in datas])
    firsts = starts_of(sizes)[:-1].tolist()
    raw: dict[str, Any] = {
        "edges": torch.cat([data.edge_index.cpu().T + first for data, first in zip(datas, firsts, strict=True)]),
        "node_graph": torch.arange(len(datas)).repeat_interleave(sizes),
        "graph_label": torch.stack([torch.as_tensor(data.y).flatten()[0].cpu() for data in datas]),
    }
    given: list[Any] = [getattr(data, "x", None) for data in datas]
    if any(x is not None for x in given):
        if any(x is None or x.ndim != 2 or x.shape[1] != given[0].shape[1] for x in given):
            raise InputDataError(f"{name}: give every graph features x of one width, or none")
        raw["x"] = torch.cat([x.detach().cpu() for x in given])
    return name, raw


def _classes(name: str, given: Any, like: GraphSetSpec | None) -> Tensor:
    labels = torch.as_tensor(np.asarray(given))
    if labels.ndim != 1 or not len(labels) or labels.dtype.is_floating_point:
        raise InputDataError(f"{name}: graph_label must be one class id per graph, whole numbers")
    labels = labels.long()
    if int(labels.min()) >= 0:
        return labels
    numbered: Tensor = labels.unique(return_inverse=True)[1]
    if like is not None and len(labels.unique()) != like.num_classes:
        raise InputDataError(f"{name} has {len(labels.unique())} classes, like= has {like.num_classes}")
    return numbered


def _edges(name: str, given: Any, owner: Tensor) -> Tensor:
    edges = torch.as_tensor(np.asarray(given)).long()
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise InputDataError(f"{name}: edges must be E x 2 node indices, not {tuple(edges.shape)}")
    if len(edges) and not (int(edges.min()) >= 0 and int(edges.max()) < len(owner)):
        raise InputDataError(f"{name}: edges name nodes outside 0..{len(owner) - 1}")
    if bool((owner[edges[:, 0]] != owner[edges[:, 1]]).any()):
        raise InputDataError(f"{name}: an edge links two graphs")
    return edges


def _features(name: str, raw: Mapping[str, Any], nodes: int, degrees: Tensor, width: int | None) -> Tensor:
    if "x" in raw:
        features = torch.as_tensor(np.asarray(raw["x"])).float()
        if features.ndim != 2 or len(features) != nodes or not bool(torch.isfinite(features).all()):
            raise InputDataError(f"{name}: x must be {nodes} x d finite numbers, not {tuple(features.shape)}")
        return features
    if "node_label" not in raw:
        return degrees.float()[:, None]
    labels = torch.as_tensor(np.asarray(raw["node_label"])).long()
    if labels.shape != (nodes,) or int(labels.min()) < 0 or int(labels.max()) >= (width or MOST_NODES):
        raise InputDataError(f"{name}: node_label must be {nodes} ids from 0 to {(width or MOST_NODES) - 1}")
    return torch.nn.functional.one_hot(labels, width or int(labels.max()) + 1).float()


def _parts(
    name: str, raw: Mapping[str, Any], classes: Tensor, test: float, validation: float, seed: int
) -> dict[str, Tensor]:
    """Return the indices of the graphs of each split."""
    given = {split: torch.as_tensor(np.asarray(raw[key])).long() for split, key in SPLITS.items() if key in raw}
    if given:
        everyone = torch.cat(list(given.values()))
        if "train" not in given or len(everyone.unique()) != len(everyone):
            raise InputDataError(f"{name}: its splits need idx_train, and no graph twice")
        if int(everyone.min()) < 0 or int(everyone.max()) >= len(classes):
            raise InputDataError(f"{name}: splits name graphs outside 0..{len(classes) - 1}")
        return given
    none = torch.zeros(0, dtype=torch.int64)
    rest, held = torch.arange(len(classes)), {"test": none, "validation": none}
    for split, share in (("test", test), ("validation", validation)):
        if share:
            left, taken = stratified_split(classes[rest], share * len(classes) / len(rest), seed)
            rest, held[split] = rest[left], rest[taken]
    return {"train": rest, **held}
