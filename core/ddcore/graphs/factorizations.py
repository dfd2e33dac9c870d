"""What is stored of a synthetic graph, and how that becomes nodes with edges."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.coresets import as_rule
from ddcore.errors import SummaryFormatError
from ddcore.factorization import AsStored
from ddcore.factorization.numbers import STORAGE, packed_bytes
from ddcore.factorization.owned import owners_of, stored_items
from ddcore.graphs.edges import Edges, GivenEdges, PairwiseSimilarity, RelaxedEdges
from ddcore.graphs.graph import Graph
from ddcore.graphs.nodes import Nodes, graph_of
from ddcore.graphs.stored import StoredGraph, StoredGraphExamples
from ddcore.ground.devices import to_device
from ddcore.labels.class_ids import ids_bytes
from ddcore.parts import (
    NOISE,
    Batch,
    Examples,
    Factorization,
    Run,
    Spec,
)
from ddcore.settings import require, require_counts

FEW_NODES = 2**10
"""So many nodes may always be stored, whatever their edges."""
MAX_RATIO = 16
"""More nodes may be stored if they decode to at most this many times the numbers stored."""
MAX_HIDDEN = 2**28
"""Most numbers in a hidden layer of the similarity of all pairs. It bounds memory."""


@dataclass(frozen=True)
class GraphFeatures(AsStored):
    r"""Nodes without edges: features as free parameters. `AsStored` explains the settings.

    Networks train on it as if every node stood alone: :math:`A = I`.

    Attributes:
        hops: products with :math:`\hat A` that the features of real nodes go through before they
            are the first ones. With 2, a node brings along what a network of two layers would have
            gathered for it.

    Source: Zheng et al. 2023 (arXiv:2306.02664), structure-free condensation.
    """

    name: ClassVar[str] = "graph_features"
    modality: ClassVar[str | None] = "graphs"
    items: ClassVar[str] = "features"
    hops: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.hops >= 0, f"hops must not be negative, it is {self.hops}")

    def chosen_values(self, inputs: Tensor, spec: Spec) -> Tensor:
        graph, chosen = graph_of(inputs)
        return graph.sent("gcn", self.hops)[chosen]


@dataclass(frozen=True)
class _WholeGraph(StoredGraph):
    """Features and weighted edges, ``ipc`` nodes per class. `StoredGraph` explains the settings.

    A summary stores features, class ids, and the edges above ``threshold`` with their weights. An
    edge of n nodes, from i to a later j and back, is the number :math:`i n + j`.

    Attributes:
        threshold: edges of a weight up to this are not stored.
    """

    threshold: float = 0.0
    modality: ClassVar[str | None] = "graphs"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.threshold < 1, f"threshold must lie in [0, 1), not {self.threshold}")

    @abstractmethod
    def edges_of(self, features: Tensor, induced: Tensor, run: Run) -> Edges:
        """Return the module that makes weights ``n x n`` of features ``n x d``.

        Args:
            features: at first.
            induced: weights among the real nodes that the features come from; zeros for noise.
            run: for random numbers.
        """

    def max_bytes(self, spec: Spec, available: Mapping[int, int]) -> int:
        n = sum(self.counts_for(available).values())
        edges = n * (n - 1) // 2 * (torch.int32.itemsize + torch.float32.itemsize)
        return packed_bytes((n, *spec.shape), self.storage) + ids_bytes(n, spec.num_classes) + edges

    def start(self, run: Run) -> Examples:
        counts, spec = self.counts_for(run.real.counts), run.spec
        size, random = sum(counts.values()), run.generator("init")
        if self.init in NOISE:
            features = torch.randn(size, *spec.shape, generator=random, dtype=run.dtype)
            induced = torch.zeros(size, size, dtype=run.dtype)
        else:
            chosen = run.real.select(as_rule(self.init), counts, random)
            inputs = torch.cat([chosen[c].inputs for c in counts]).to("cpu", run.dtype)  # joined while of one graph
            features = inputs.flatten(1)
            graph, nodes = graph_of(inputs)
            induced = graph.induced(torch.arange(len(graph.features))[nodes])
        return GraphExamples(self, features, self.edges_of(features, induced, run), owners_of(counts), spec)

    def restore(self, stored: Mapping[str, Tensor], spec: Spec) -> Examples:
        if set(stored) != {"features", "classes", "edges", "weights"}:
            raise SummaryFormatError(f"a graph stores features, classes, edges and weights, found {sorted(stored)[:5]}")
        features, owners, order = stored_items(stored, "features", spec.shape, STORAGE[self.storage], spec.num_classes)
        n, edges, weights = len(features), stored["edges"], stored["weights"]
        if n > max(FEW_NODES, math.isqrt(MAX_RATIO * sum(t.numel() for t in stored.values()))):
            raise SummaryFormatError(f"{n} nodes with {len(edges)} edges decode to {n} x {n} weights: too many")
        if (edges.ndim, edges.dtype, weights.dtype) != (1, torch.int32, torch.float32) or edges.shape != weights.shape:
            raise SummaryFormatError("edges must be k of int32, with k weights of float32")
        codes = edges.long()
        rows, columns = codes // n, codes % n
        if not bool(((codes >= 0) & (rows < columns) & (rows < n)).all()):
            raise SummaryFormatError(f"an edge must be i * {n} + j with two of {n} nodes, i < j")
        if not bool((weights.isfinite() & (weights > 0)).all()):
            raise SummaryFormatError("weights of edges must be positive and finite")
        if len(codes.unique()) != len(codes):
            raise SummaryFormatError("an edge is stored twice")
        dense = torch.zeros(n, n).index_put_((rows, columns), weights)
        dense = (dense + dense.T)[order][:, order]
        return GraphExamples(self, features.float(), GivenEdges(dense), owners, spec)

    def decoder(self) -> dict[str, Any]:
        return {"storage": self.storage, "threshold": self.threshold}

    @classmethod
    def from_decoder(cls, settings: Mapping[str, Any]) -> Factorization:
        if set(settings) != {"storage", "threshold"}:
            raise SummaryFormatError(f"{cls.name} records storage and threshold, found {sorted(settings)[:5]}")
        return cls(**settings)


@dataclass(frozen=True)
class GraphNodes(_WholeGraph):
    """Nodes with the edges that they have among each other in the data. Edges stay."""

    name: ClassVar[str] = "graph_nodes"

    def edges_of(self, features: Tensor, induced: Tensor, run: Run) -> Edges:
        return GivenEdges(induced)


@dataclass(frozen=True)
class GraphSimilarity(_WholeGraph):
    r"""Features as free parameters; a learned similarity of features gives the edges.

    .. math:: A_{ij} = \mathrm{sigmoid}\Big(\frac{g([x_i, x_j]) + g([x_j, x_i])}{2}\Big), \qquad
        A_{ii} = 0

    with a perceptron :math:`g` of ``depth`` layers, BatchNorm over all pairs and ReLU. A summary
    stores the edges, not the perceptron.

    Attributes:
        threshold: edges of a weight up to this are not stored: .01 of at most 1.
        width: of hidden layers of :math:`g`.
        depth: number of its linear layers.

    Source: Jin et al. 2022 (arXiv:2110.07580), equation 7.
    """

    threshold: float = 0.01
    width: int = 128
    depth: int = 3
    name: ClassVar[str] = "graph_similarity"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_counts(width=self.width)
        require(self.depth >= 2, f"the similarity needs 2 layers or more, not {self.depth}")

    def learning_rates(self) -> dict[str, float]:
        return {"features": 0.01, "edges": 0.01}

    def edges_of(self, features: Tensor, induced: Tensor, run: Run) -> Edges:
        pairs = len(features) ** 2
        require(len(features) > 1, "a similarity needs two nodes or more")
        require(
            pairs * self.width <= MAX_HIDDEN,
            f"the similarity of {len(features)} nodes takes {pairs * self.width} hidden numbers, above {MAX_HIDDEN}: take fewer "
            "nodes, a smaller width, or graph_features",
        )
        return PairwiseSimilarity(features.shape[1], self.width, self.depth, run.generator("edges")).to(features.dtype)


@dataclass(frozen=True)
class GraphBernoulli(_WholeGraph):
    """Features as free parameters; every pair's edge has a probability of its own.

    `RelaxedEdges` says how an edge is drawn. A summary stores the edges whose probability is above
    one half, of weight 1.

    Attributes:
        init: its edges are those among the real nodes that give the features.
        density_weight: of the mean probability's excess over its first value, in the loss.

    Source: Jin et al. 2022, one-step gradient matching (arXiv:2206.07746).
    """

    density_weight: float = 0.1
    name: ClassVar[str] = "graph_bernoulli"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.density_weight >= 0, f"density_weight must not be negative, it is {self.density_weight}")

    def learning_rates(self) -> dict[str, float]:
        return {"features": 0.01, "edges": 0.1}

    def edges_of(self, features: Tensor, induced: Tensor, run: Run) -> Edges:
        return RelaxedEdges(induced.to(features.dtype), self.density_weight)


class GraphExamples(StoredGraphExamples):
    """Nodes sorted by class, and the module that makes their edges.

    The graph of the present parameters is made once, whichever of its nodes are asked for.
    """

    _settings: _WholeGraph
    _made: tuple[object, Graph] | None = None

    def graph(self, generator: torch.Generator | None = None) -> Graph:
        """Return the graph of the present parameters."""
        sure = generator is None
        state = (sure, torch.is_grad_enabled(), *((id(p), p._version) for p in self.parameters()))
        if self._made is None or self._made[0] != state:
            features = self.features.view_as(self.features)
            weights = self.edges(self.features, generator)
            self._made = (state, Graph(features, weights))
            for tensor in (features, weights):
                if tensor.requires_grad:
                    tensor.register_hook(self._forget)  # a gradient frees what it went through
        return self._made[1]

    def _forget(self, gradient: Tensor) -> None:
        self._made = None

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        owners = self.get_buffer("owners")
        where = torch.arange(len(owners)) if indices is None else indices
        where = to_device(where, owners.device)
        return Batch(Nodes.as_inputs(self.graph(generator), where), owners[where])

    def after_step(self, step: int) -> None:
        super().after_step(step)
        self._made = None

    def stored(self) -> dict[str, Tensor]:
        with torch.no_grad():
            weights = self.edges(self.features).cpu().float()
        rows, columns = (weights.triu(1) > self._settings.threshold).nonzero().T
        return {
            "features": self.stored_features(),
            "classes": self.packed_owners(),
            "edges": (rows * len(weights) + columns).to(torch.int32),
            "weights": weights[rows, columns].contiguous(),
        }
