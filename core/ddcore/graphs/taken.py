"""`Taken`: examples that are taken from a graph, where other data have a tensor of examples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from ddcore.errors import UnsupportedError
from ddcore.graphs.graph import Graph
from ddcore.parts import StandIn


@dataclass(frozen=True, eq=False)
class Taken(StandIn):
    """Some parts of a graph are the examples. The whole graph comes along.

    Attributes:
        graph: all nodes and edges.
        chosen: which of its parts are the examples, ``n``, int64.
    """

    graph: Graph
    chosen: Tensor

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.chosen), self.graph.features.shape[1]))

    @property
    def dtype(self) -> torch.dtype:
        return self.graph.features.dtype

    @property
    def device(self) -> torch.device:
        return self.graph.features.device

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, where: Tensor | slice) -> Self:
        if not isinstance(where, Tensor | slice):
            raise UnsupportedError("one example is none without its graph: take several by a tensor of indices")
        return replace(self, chosen=self.chosen[where])

    def split(self, size: int) -> tuple[Self, ...]:
        """Return the examples in lots of at most ``size``, each with the whole graph."""
        return tuple(replace(self, chosen=part) for part in self.chosen.split(size))

    def to(self, *where: Any, **kwargs: Any) -> Self:
        """Return the same examples on another device, or of another type."""
        moved = self.graph.features[:0].to(*where, **kwargs)
        graph = self.graph.to(moved.device, moved.dtype)
        return self if graph is self.graph else self.of(graph)

    def of(self, graph: Graph) -> Self:
        """Return the same examples of the same graph, which is elsewhere."""
        return replace(self, graph=graph, chosen=self.chosen.to(graph.features.device))

    def detach(self) -> Self:
        return replace(self, graph=self.graph.detach())

    def tensors(self) -> tuple[Tensor, ...]:
        """Return what tells these examples from others: features, edges, weights, choice."""
        features, weights = self.graph.features.detach().cpu(), self.graph.weights
        if weights is None:
            return features, self.chosen.cpu()
        coo = weights.detach().cpu().to_sparse_coo().coalesce()
        return features, coo.indices(), coo.values(), self.chosen.cpu()
