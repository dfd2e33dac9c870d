"""What is stored of synthetic graphs of which each is an example."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.coresets import as_rule
from ddcore.errors import InputDataError, SummaryFormatError
from ddcore.factorization import AsStored
from ddcore.factorization.numbers import STORAGE, packed_bytes
from ddcore.factorization.owned import owners_of, stored_owners
from ddcore.graphs.edges import Edges, GivenEdges, RelaxedEdges
from ddcore.graphs.graph import Graph
from ddcore.graphs.graph_set import GraphSet, graph_set_of, starts_of
from ddcore.graphs.sparse import sparse
from ddcore.graphs.spec import GraphSetSpec
from ddcore.graphs.stored import StoredGraph, StoredGraphExamples
from ddcore.ground.devices import to_device
from ddcore.labels.class_ids import ids_bytes
from ddcore.parts import (
    NOISE,
    Batch,
    CoresetRule,
    Examples,
    Factorization,
    Run,
    Spec,
)
from ddcore.settings import require, require_counts

MOST_STORED_NODES = math.isqrt(2**31)
"""Two nodes of so many make an index that fits 32 bits."""


@dataclass(frozen=True)
class _StoredGraphs(StoredGraph):
    """Graphs with features on nodes, and edges without weights, ``ipc`` per class.

    A summary stores the features of all nodes, the number of nodes of each graph, class ids, and
    edges. Of N nodes in all, an edge from i to a later j and back is the number :math:`i N + j`.
    `StoredGraph` explains the settings.
    """

    modality: ClassVar[str | None] = "graph_sets"

    @abstractmethod
    def sizes_for(self, spec: GraphSetSpec) -> tuple[int, int]:
        """Return the most nodes and the most edges of one graph."""

    def max_bytes(self, spec: Spec, available: Mapping[int, int]) -> int:
        assert isinstance(spec, GraphSetSpec)
        count, (nodes, edges) = sum(self.counts_for(available).values()), self.sizes_for(spec)
        each = packed_bytes((nodes, *spec.shape), self.storage) + (1 + edges) * torch.int32.itemsize
        return count * each + ids_bytes(count, spec.num_classes)

    def restore(self, stored: Mapping[str, Tensor], spec: Spec) -> Examples:
        if set(stored) != {"features", "nodes", "classes", "edges"}:
            raise SummaryFormatError(f"graphs store features, nodes, classes and edges, found {sorted(stored)[:5]}")
        features, nodes, edges = stored["features"], stored["nodes"], stored["edges"]
        total = len(features) if features.ndim else 0
        if tuple(features.shape[1:]) != spec.shape or features.dtype != STORAGE[self.storage] or not total:
            raise SummaryFormatError(f"features must be N x {spec.shape} of {STORAGE[self.storage]}")
        if (nodes.ndim, nodes.dtype, edges.ndim, edges.dtype) != (1, torch.int32, 1, torch.int32):
            raise SummaryFormatError("nodes must be one int32 per graph, and edges k of int32")
        sizes = nodes.long()
        if total > MOST_STORED_NODES or not len(sizes) or int(sizes.min()) < 1 or int(sizes.sum()) != total:
            raise SummaryFormatError(f"the graphs' numbers of nodes must be 1 or more, {total} together")
        owners, order = stored_owners(stored, len(sizes), spec.num_classes)
        codes = edges.long()
        rows, columns = codes // total, codes % total
        owner = torch.arange(len(sizes)).repeat_interleave(sizes)
        if not bool(((codes >= 0) & (rows < columns) & (rows < total)).all()) or len(codes.unique()) != len(codes):
            raise SummaryFormatError(f"an edge must be i * {total} + j with two of {total} nodes, i < j, stored once")
        if not bool((owner[rows] == owner[columns]).all()):
            raise SummaryFormatError("an edge links two graphs")
        whole = GraphSet(Graph(features.float(), _both_ways(rows, columns, total)), order, starts_of(sizes))
        sorted_graphs = whole.alone()
        assert sorted_graphs.weights is not None
        return GraphSetExamples(
            self, sorted_graphs.features, whole.sizes, GivenEdges(sorted_graphs.weights), owners, spec
        )

    def decoder(self) -> dict[str, Any]:
        return {"storage": self.storage}

    @classmethod
    def from_decoder(cls, settings: Mapping[str, Any]) -> Factorization:
        if set(settings) != {"storage"}:
            raise SummaryFormatError(f"{cls.name} records storage, found {sorted(settings)[:5]}")
        return cls(**settings)


@dataclass(frozen=True)
class ChosenGraphs(_StoredGraphs):
    """Graphs of the data as they are. Nothing of them is learned but the features."""

    name: ClassVar[str] = "chosen_graphs"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.init not in NOISE, "graphs of the data are chosen by a coreset rule, not noise")

    def sizes_for(self, spec: GraphSetSpec) -> tuple[int, int]:
        return spec.most_nodes, spec.most_edges

    def start(self, run: Run) -> Examples:
        counts = self.counts_for(run.real.counts)
        graphs = _chosen(self.init, counts, run)
        alone = graphs.alone()
        assert alone.weights is not None
        return GraphSetExamples(
            self, alone.features, graphs.sizes, GivenEdges(alone.weights), owners_of(counts), run.spec
        )


@dataclass(frozen=True)
class BernoulliGraphs(_StoredGraphs):
    """Features as free parameters; every pair's edge has a probability of its own.

    All graphs have the same number of nodes. `RelaxedEdges` says how an edge is drawn. A summary
    stores the edges whose probability is above one half. Of a larger real graph the first nodes
    give the start; a smaller one leaves nodes alone, with features of 0.

    Attributes:
        nodes: of each graph. None: the mean of the data, rounded up.
        density_weight: of the mean probability's excess over its first value, in the loss.

    Source: Jin et al. 2022, one-step gradient matching (arXiv:2206.07746), section 4, and its code.
    """

    nodes: int | None = None
    density_weight: float = 0.1
    name: ClassVar[str] = "bernoulli_graphs"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_counts(nodes=1 if self.nodes is None else self.nodes)
        require(self.density_weight >= 0, f"density_weight must not be negative, it is {self.density_weight}")

    def learning_rates(self) -> dict[str, float]:
        return {"features": 0.01, "edges": 0.1}

    def sizes_for(self, spec: GraphSetSpec) -> tuple[int, int]:
        nodes = self.nodes or math.ceil(spec.mean_nodes)
        return nodes, nodes * (nodes - 1) // 2

    def start(self, run: Run) -> Examples:
        assert isinstance(run.spec, GraphSetSpec)
        counts, (nodes, _) = self.counts_for(run.real.counts), self.sizes_for(run.spec)
        count = sum(counts.values())
        total = count * nodes
        require(
            total <= MOST_STORED_NODES, f"{count} graphs of {nodes} nodes are {total} nodes, above {MOST_STORED_NODES}"
        )
        features = torch.zeros(count, nodes, *run.spec.shape, dtype=run.dtype)
        weights = torch.zeros(count, nodes, nodes, dtype=run.dtype)
        if self.init in NOISE:
            features.normal_(generator=run.generator("init"))
        else:
            graphs = _chosen(self.init, counts, run)
            alone, starts = graphs.alone(), starts_of(graphs.sizes).tolist()
            for i, (first, end) in enumerate(pairwise(starts)):
                kept = torch.arange(first, min(end, first + nodes))
                features[i, : len(kept)] = alone.features[kept]
                weights[i, : len(kept), : len(kept)] = alone.induced(kept)
        sizes, edges = torch.full((count,), nodes), RelaxedEdges(weights, self.density_weight)
        return GraphSetExamples(self, features.flatten(0, 1), sizes, edges, owners_of(counts), run.spec)


class GraphSetExamples(StoredGraphExamples):
    """Graphs sorted by class.

    Args:
        sizes: the number of nodes of each graph.
    """

    def __init__(
        self, settings: StoredGraph, features: Tensor, sizes: Tensor, edges: Edges, owners: Tensor, spec: Spec
    ) -> None:
        super().__init__(settings, features, edges, owners, spec)
        self.register_buffer("sizes", sizes)

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        owners = self.get_buffer("owners")
        where = torch.arange(len(owners)) if indices is None else indices
        where = to_device(where, owners.device)
        graph = Graph(self.features, self.edges(self.features, generator))
        return Batch(GraphSet.as_inputs(graph, starts_of(self.get_buffer("sizes")), where), owners[where])

    def stored(self) -> dict[str, Tensor]:
        with torch.no_grad():
            graph = Graph(self.features.detach().cpu(), self.edges(self.features).cpu())
        total = len(graph.features)
        (first, second), _ = graph.edges()
        codes = (first * total + second)[first < second].sort().values
        return {
            "features": self.stored_features(),
            "nodes": self.get_buffer("sizes").cpu().to(torch.int32),
            "classes": self.packed_owners(),
            "edges": codes.to(torch.int32),
        }


def counterpart(factorization: Factorization) -> Factorization | None:
    """Return what learns graphs in place of what learns other examples."""
    if not isinstance(factorization, AsStored):
        return None
    return BernoulliGraphs(ipc=factorization.ipc, init="noise" if factorization.init in NOISE else factorization.init)


def _chosen(init: str | CoresetRule, counts: Mapping[int, int], run: Run) -> GraphSet:
    chosen = run.real.select(as_rule(init), counts, run.generator("init"))
    parts: Sequence[Tensor] = [chosen[c].inputs.to("cpu", run.dtype) for c in counts]
    if not all(isinstance(part, GraphSet) for part in parts):
        raise InputDataError(f"{init} gives no graphs of the data: choose random, herding or k_center")
    return graph_set_of(torch.cat(list(parts)), "chosen examples")


def _both_ways(rows: Tensor, columns: Tensor, nodes: int) -> Tensor:
    pairs = torch.stack([torch.cat([rows, columns]), torch.cat([columns, rows])])
    return sparse(pairs, torch.ones(pairs.shape[1]), nodes)
