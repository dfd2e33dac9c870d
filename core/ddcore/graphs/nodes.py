"""`Nodes`: examples that are nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.graphs.graph import Graph
from ddcore.graphs.taken import Taken


@dataclass(frozen=True, eq=False)
class Nodes(Taken):
    """The examples ``n x d`` are some nodes' features; their graph comes along.

    Attributes:
        graph: all nodes and edges.
        chosen: indices of the nodes that are the examples, ``n``, int64.
    """

    connected: ClassVar[bool] = True

    @classmethod
    def as_inputs(cls, graph: Graph, chosen: Tensor) -> Tensor:
        """Return nodes as what a batch or a split takes for its inputs."""
        return cast(Tensor, cls(graph, chosen))

    def flatten(self, start: int = 1, end: int = -1) -> Tensor:
        """Return the nodes' own features, ``n x d``, without their graph."""
        return self.graph.features[self.chosen]

    @classmethod
    def joined(cls, parts: Sequence[Nodes]) -> Nodes:
        """Return the nodes of several graphs as nodes of one: theirs, or their disjoint union."""
        first = parts[0].graph
        if all(part.graph is first for part in parts):
            return cls(first, torch.cat([part.chosen for part in parts]))
        graphs = list(dict.fromkeys(part.graph for part in parts))
        ends = torch.tensor([len(g.features) for g in graphs]).cumsum(0).tolist()
        starts = dict(zip(graphs, [0, *ends], strict=False))
        blocks = [g.induced(torch.arange(len(g.features), device=g.features.device)) for g in graphs]
        union = Graph(torch.cat([g.features for g in graphs]), torch.block_diag(*blocks))
        return cls(union, torch.cat([part.chosen + starts[part.graph] for part in parts]))


def graph_of(inputs: object) -> tuple[Graph, Tensor | slice]:
    """Return a graph, and which of its nodes are examples. A tensor is nodes without edges."""
    if isinstance(inputs, Nodes):
        return inputs.graph, inputs.chosen
    assert isinstance(inputs, Tensor)
    return Graph(inputs), slice(None)


def nodes_of(inputs: object, what: str) -> Nodes:
    """Return inputs that are nodes, or raise `InputDataError`."""
    if not isinstance(inputs, Nodes):
        raise InputDataError(f"{what} must be nodes of a graph: load it by load_graph")
    return inputs
