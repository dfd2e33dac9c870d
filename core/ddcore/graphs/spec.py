"""What may be said of a graph in public."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.graphs.graph_set import graph_set_of
from ddcore.graphs.nodes import nodes_of
from ddcore.parts import Classification, Identity, Spec
from ddcore.settings import require

SIZES = ("mean_nodes", "mean_edges", "most_nodes", "most_edges")
MOST_NODES = 2**15
"""Most nodes of one graph among many. Two of them make an index that fits 32 bits."""


@dataclass(frozen=True)
class GraphSpec(Spec):
    """Declared facts of a graph whose nodes are the examples.

    Attributes:
        shape: ``(d,)``, the number of a node's features.
    """

    modality: ClassVar[str] = "graphs"
    connected: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.shape) == 1, f"a node's features are a row of numbers, not of shape {self.shape}")

    def check_inputs(self, inputs: Tensor, title: str) -> None:
        nodes = nodes_of(inputs, f"{title} examples")
        if not bool(torch.isfinite(nodes.graph.features).all()):
            raise InputDataError(f"{title} nodes have features of NaN or infinity: clean the data first")

    @classmethod
    def restore(cls, config: Mapping[str, Any]) -> GraphSpec:
        """Return what `to_json` recorded. What is amiss raises, a type too: a stranger wrote it."""
        return cls(**_shared_facts(config))


@dataclass(frozen=True)
class GraphSetSpec(Spec):
    """Declared facts of graphs of which each is an example.

    Attributes:
        shape: ``(d,)``, the number of a node's features.
        mean_nodes, mean_edges: of a training graph.
        most_nodes, most_edges: of the largest training graph.
    """

    mean_nodes: float = 1.0
    mean_edges: float = 0.0
    most_nodes: int = 1
    most_edges: int = 0
    modality: ClassVar[str] = "graph_sets"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.shape) == 1, f"a node's features are a row of numbers, not of shape {self.shape}")
        require(1 <= self.mean_nodes <= self.most_nodes <= MOST_NODES, "graphs have one node or more on average")
        require(
            0 <= self.mean_edges <= self.most_edges <= self.most_nodes**2, "numbers of edges are negative, or too large"
        )

    def check_inputs(self, inputs: Tensor, title: str) -> None:
        graphs = graph_set_of(inputs, f"{title} examples")
        if not bool(torch.isfinite(graphs.graph.features).all()):
            raise InputDataError(f"{title} graphs have features of NaN or infinity: clean the data first")

    def example_bytes(self) -> int:
        """Return the bytes of a graph of mean size: 4 for each feature, and 4 for each edge."""
        return round(4 * (self.mean_nodes * self.shape[0] + self.mean_edges))

    def to_json(self) -> dict[str, Any]:
        sizes = {key: getattr(self, key) for key in SIZES}
        return {**super().to_json(), **sizes, "score": self.task.score}

    @classmethod
    def restore(cls, config: Mapping[str, Any]) -> GraphSetSpec:
        """Return what `to_json` recorded. What is amiss raises, a type too: a stranger wrote it."""
        sizes = {key: config[key] for key in SIZES}
        require(all(type(value) in (int, float) for value in sizes.values()), "sizes of graphs are numbers")
        require(all(type(sizes[key]) is int for key in ("most_nodes", "most_edges")), "the largest sizes are integers")
        return cls(**_shared_facts(config), **sizes, task=Classification(by=config["score"]))


def _shared_facts(config: Mapping[str, Any]) -> dict[str, Any]:
    lists = [config[key] for key in ("shape", "classes", "class_names")]
    require(all(isinstance(value, list) for value in lists), "shape, classes and names are lists")
    require(config["normalisation"] == Identity().describe(), "a graph has no normalisation but the identity")
    return {
        "shape": tuple(config["shape"]),
        "num_classes": config["num_classes"],
        "classes": tuple(config["classes"]),
        "class_names": tuple(config["class_names"]),
    }
