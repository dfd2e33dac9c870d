"""`Nodes`: some nodes of a graph, where other data have a tensor of examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from ddcore.errors import InputDataError, UnsupportedError
from ddcore.graphs.graph import Graph


@dataclass(frozen=True, eq=False)
class Nodes:
    """The examples ``n x d`` are some nodes' features; their graph comes along.

    It stands where a tensor of examples stands (`ddcore.parts.inputs`).

    Attributes:
        graph: all nodes and edges.
        chosen: indices of the nodes that are the examples, ``n``, int64.
    """

    graph: Graph
    chosen: Tensor
    connected: ClassVar[bool] = True

    @classmethod
    def as_inputs(cls, graph: Graph, chosen: Tensor) -> Tensor:
        """Return nodes as what a batch or a split takes for its inputs."""
        return cast(Tensor, cls(graph, chosen))

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.chosen), self.graph.features.shape[1]))

    @property
    def ndim(self) -> int:
        return 2

    @property
    def dtype(self) -> torch.dtype:
        return self.graph.features.dtype

    @property
    def device(self) -> torch.device:
        return self.graph.features.device

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, where: Tensor | slice) -> Nodes:
        if not isinstance(where, Tensor | slice):
            raise UnsupportedError("one node is no example without its graph: take several by a tensor of indices")
        return replace(self, chosen=self.chosen[where])

    def split(self, size: int) -> tuple[Nodes, ...]:
        """Return the nodes in parts of at most ``size``, each with the whole graph."""
        return tuple(replace(self, chosen=part) for part in self.chosen.split(size))

    def flatten(self, start: int = 1, end: int = -1) -> Tensor:
        """Return the nodes' own features, ``n x d``, without their graph."""
        return self.graph.features[self.chosen]

    def to(self, *where: Any, **kwargs: Any) -> Nodes:
        """Return the same nodes on another device, or of another type."""
        moved = self.graph.features[:0].to(*where, **kwargs)
        graph = self.graph.to(moved.device, moved.dtype)
        return self if graph is self.graph else Nodes(graph, self.chosen.to(graph.features.device))

    def float(self) -> Nodes:
        return self.to(torch.float32)

    def detach(self) -> Nodes:
        return replace(self, graph=self.graph.detach())

    def tensors(self) -> tuple[Tensor, ...]:
        """Return what tells these examples from others: features, edges, weights, nodes."""
        features, weights = self.graph.features.detach().cpu(), self.graph.weights
        if weights is None:
            return features, self.chosen.cpu()
        coo = weights.detach().cpu().to_sparse_coo().coalesce()
        return features, coo.indices(), coo.values(), self.chosen.cpu()

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if function is torch.cat:
            return _joined(args[0])
        if function is torch.isfinite:
            return torch.cat([torch.isfinite(t).flatten() for t in args[0].tensors() if t.is_floating_point()])
        return NotImplemented


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


def _joined(parts: Sequence[Nodes]) -> Nodes:
    """Return the nodes of several graphs as nodes of one: of theirs, or of their disjoint union."""
    first = parts[0].graph
    if all(part.graph is first for part in parts):
        return Nodes(first, torch.cat([part.chosen for part in parts]))
    graphs = list(dict.fromkeys(part.graph for part in parts))
    starts = dict(zip(graphs, torch.tensor([0, *(len(g.features) for g in graphs)]).cumsum(0).tolist(), strict=False))
    blocks = [g.induced(torch.arange(len(g.features), device=g.features.device)) for g in graphs]
    union = Graph(torch.cat([g.features for g in graphs]), torch.block_diag(*blocks))
    return Nodes(union, torch.cat([part.chosen + starts[part.graph] for part in parts]))
