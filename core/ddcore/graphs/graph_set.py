"""`GraphSet`: examples that are graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self, cast

import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.graphs.graph import Graph
from ddcore.graphs.sparse import sparse
from ddcore.graphs.taken import Taken
from ddcore.settings import require


@dataclass(frozen=True, eq=False)
class GraphSet(Taken):
    """Each example is a graph of its own, with ``d`` features on every node.

    Attributes:
        graph: their disjoint union: all nodes and edges.
        chosen: indices of the graphs that are the examples, ``n``, int64.
        starts: the first node of each graph of the union, and the number of all nodes.
    """

    starts: Tensor
    connected: ClassVar[bool] = False

    def __post_init__(self) -> None:
        weights = self.graph.weights
        apart = weights is None or weights.layout != torch.strided or weights.ndim == 3
        require(apart, "weights of several graphs are sparse, N x N, or dense blocks, B x n x n")

    @classmethod
    def as_inputs(cls, graph: Graph, starts: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Return graphs as what a batch or a split takes for its inputs; all by default."""
        every = torch.arange(len(starts) - 1, device=starts.device)
        return cast(Tensor, cls(graph, every if chosen is None else chosen, starts))

    def of(self, graph: Graph) -> Self:
        return replace(super().of(graph), starts=self.starts.to(graph.features.device))

    @property
    def sizes(self) -> Tensor:
        """The number of nodes of each example, ``n``."""
        return self.starts[self.chosen + 1] - self.starts[self.chosen]

    def alone(self) -> Graph:
        """Return the nodes and edges of the examples, one example after the other."""
        return self.graph.of_graphs(self.starts, self.chosen)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over each example's nodes, ``n x d``, of values of the nodes `alone`."""
        sizes = self.sizes
        owner = torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes, output_size=len(values))
        total = values.new_zeros(len(sizes), values.shape[1]).index_add(0, owner, values)
        return total / sizes.clamp_min(1)[:, None].to(values.dtype)

    def flatten(self, start: int = 1, end: int = -1) -> Tensor:
        """Return each example's mean features, ``n x d``, without its edges."""
        return self.mean(self.alone().features)

    def tensors(self) -> tuple[Tensor, ...]:
        return *super().tensors(), self.starts.cpu()

    @classmethod
    def joined(cls, parts: Sequence[GraphSet]) -> GraphSet:
        first = parts[0]
        if all(part.graph is first.graph for part in parts):
            return cls(first.graph, torch.cat([part.chosen for part in parts]), first.starts)
        graphs = [part.alone() for part in parts]
        sizes = torch.cat([part.sizes for part in parts])
        union = Graph(torch.cat([g.features for g in graphs]), _diagonal(graphs))
        return cls(union, torch.arange(len(sizes), device=sizes.device), starts_of(sizes))


def starts_of(sizes: Tensor) -> Tensor:
    """Return the first node of each graph, and the number of all, of their numbers of nodes."""
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])


def graph_set_of(inputs: object, what: str) -> GraphSet:
    """Return inputs that are graphs, or raise `InputDataError`."""
    if not isinstance(inputs, GraphSet):
        raise InputDataError(f"{what} must be graphs: load them by load_graphs")
    return inputs


def _diagonal(graphs: Sequence[Graph]) -> Tensor | None:
    """Return the weights of a disjoint union: dense while all graphs are dense and of one size."""
    weights = [g.weights for g in graphs]
    dense = [w for w in weights if w is not None and w.ndim == 3]
    if len(dense) == len(weights) and len({w.shape[1] for w in dense}) == 1:
        return torch.cat(dense)
    firsts = torch.tensor([0, *(len(g.features) for g in graphs)]).cumsum(0).tolist()
    found = [g.edges() for g in graphs]
    edges = torch.cat([e + first for (e, _), first in zip(found, firsts, strict=False)], dim=1)
    return sparse(edges, torch.cat([w for _, w in found]), firsts[-1])
