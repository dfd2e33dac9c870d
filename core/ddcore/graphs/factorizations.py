"""What is stored of a synthetic graph, and how that becomes nodes with edges."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.coresets import as_rule
from ddcore.errors import SummaryFormatError, UnsupportedError
from ddcore.factorization import AsStored
from ddcore.factorization.labels import ids_bytes
from ddcore.factorization.numbers import STORAGE, packed_bytes
from ddcore.factorization.owned import OwnedExamples, owners_of, stored_items
from ddcore.graphs.graph import Graph
from ddcore.graphs.nodes import Nodes, graph_of
from ddcore.ground.devices import to_device
from ddcore.parts import (
    NOISE,
    Batch,
    Context,
    CoresetRule,
    Examples,
    Factorization,
    Ipc,
    Run,
    Spec,
    check_ipc,
    counts_within,
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
    """Nodes without edges: features as free parameters. `AsStored` explains the settings.

    Networks train on it as if every node stood alone: :math:`A = I`.

    Source: Zheng et al. 2023 (arXiv:2306.02664), structure-free condensation.
    """

    name: ClassVar[str] = "graph_features"
    modality: ClassVar[str | None] = "graphs"
    items: ClassVar[str] = "features"

    def chosen_values(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1)


@dataclass(frozen=True)
class _WholeGraph(Factorization):
    """Features and weighted edges, ``ipc`` nodes per class.

    A summary stores features, class ids, and the edges above ``threshold`` with their weights. An
    edge of n nodes, from i to a later j and back, is the number :math:`i n + j`.

    Attributes:
        ipc: nodes per class.
        init: a coreset rule, whose nodes give the features; or ``noise``.
        storage: of features: ``float32`` or ``fp16``.
        threshold: edges of a weight up to this are not stored.
    """

    ipc: Ipc = field(default=10, hash=False)
    init: str | CoresetRule = "random"
    storage: str = "float32"
    threshold: float = 0.0
    storages: ClassVar[tuple[str, ...]] = ("float32", "fp16")
    items: ClassVar[str] = "features"
    modality: ClassVar[str | None] = "graphs"

    def __post_init__(self) -> None:
        require(self.storage in self.storages, f"a graph is stored as float32 or fp16, not {self.storage!r}")
        require(0 <= self.threshold < 1, f"threshold must lie in [0, 1), not {self.threshold}")
        check_ipc(self.ipc)
        if self.init != "noise":
            as_rule(self.init)

    @abstractmethod
    def edges_of(self, features: Tensor, induced: Tensor, run: Run) -> nn.Module:
        """Return the module that makes weights ``n x n`` of features ``n x d``.

        Args:
            features: at first.
            induced: weights among the real nodes that the features come from; zeros for noise.
            run: for random numbers.
        """

    def counts_for(self, available: Mapping[int, int]) -> dict[int, int]:
        return counts_within(self.ipc, available)

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

    def quantize(self, stored: Mapping[str, Tensor], spec: Spec, to: str) -> tuple[Factorization, dict[str, Tensor]]:
        self.restore(stored, spec)
        made = replace(self, storage=to)
        return made, {**stored, "features": _stored_as(stored["features"], to)}


def _stored_as(features: Tensor, storage: str) -> Tensor:
    stored = features.to(STORAGE[storage])
    lost = bool((features.isfinite() & ~stored.isfinite()).any())
    require(not lost, f"features above {torch.finfo(stored.dtype).max:g} do not fit {storage}: store float32")
    return stored


class GivenEdges(nn.Module):
    """Weights of edges that stay as they are."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, features: Tensor) -> Tensor:
        """Return the weights, whatever the features."""
        return self.get_buffer("weights")


@dataclass(frozen=True)
class GraphNodes(_WholeGraph):
    """Nodes with the edges that they have among each other in the data. Edges stay."""

    name: ClassVar[str] = "graph_nodes"

    def edges_of(self, features: Tensor, induced: Tensor, run: Run) -> nn.Module:
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

    def edges_of(self, features: Tensor, induced: Tensor, run: Run) -> nn.Module:
        pairs = len(features) ** 2
        require(len(features) > 1, "a similarity needs two nodes or more")
        require(
            pairs * self.width <= MAX_HIDDEN,
            f"the similarity of {len(features)} nodes takes {pairs * self.width} hidden numbers, above {MAX_HIDDEN}: take fewer "
            "nodes, a smaller width, or graph_features",
        )
        return PairwiseSimilarity(features.shape[1], self.width, self.depth, run.generator("edges")).to(features.dtype)


class PairwiseSimilarity(nn.Module):
    """The perceptron of `GraphSimilarity`: features ``n x d`` to weights ``n x n``.

    The first layer's product with a pair is the sum of products with its two nodes. So it costs n
    products, not the square of n.
    """

    def __init__(self, features: int, width: int, depth: int, random: torch.Generator) -> None:
        super().__init__()
        sizes = [2 * features, *(width,) * (depth - 1), 1]
        self.first = nn.Linear(sizes[0], width)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes[1:]))
        self.scales = nn.ParameterList(torch.ones(width) for _ in sizes[1:-1])
        self.shifts = nn.ParameterList(torch.zeros(width) for _ in sizes[1:-1])
        with torch.no_grad():
            for layer in (self.first, *self.layers):
                bound = layer.in_features**-0.5
                for parameter in layer.parameters():
                    parameter.uniform_(-bound, bound, generator=random)

    def forward(self, features: Tensor) -> Tensor:
        """Return the weights."""
        n, d = features.shape
        weight = self.first.weight
        left, right = F.linear(features, weight[:, :d], self.first.bias), F.linear(features, weight[:, d:])
        values = (left[:, None] + right[None]).flatten(0, 1)
        for layer, scale, shift in zip(self.layers, self.scales, self.shifts, strict=True):
            values = layer(F.relu(F.batch_norm(values, None, None, scale, shift, training=True)))
        logits = values.view(n, n)
        apart = 1 - torch.eye(n, dtype=features.dtype, device=features.device)
        return torch.sigmoid((logits + logits.T) / 2) * apart


class GraphExamples(OwnedExamples):
    """Nodes sorted by class, and the module that makes their edges.

    The graph of the present parameters is made once, whichever of its nodes are asked for.
    """

    def __init__(self, settings: _WholeGraph, features: Tensor, edges: nn.Module, owners: Tensor, spec: Spec) -> None:
        super().__init__(owners, spec.num_classes)
        self._settings = settings
        self.features = nn.Parameter(features.clone())
        self.edges = edges
        self._made: tuple[object, Graph] | None = None

    def graph(self) -> Graph:
        """Return the graph of the present parameters."""
        state = (torch.is_grad_enabled(), *((id(p), p._version) for p in self.parameters()))
        if self._made is None or self._made[0] != state:
            self._made = (state, Graph(self.features, self.edges(self.features)))
        return self._made[1]

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        owners = self.get_buffer("owners")
        where = torch.arange(len(owners)) if indices is None else indices
        where = to_device(where, owners.device)
        return Batch(Nodes.as_inputs(self.graph(), where), owners[where])

    def after_step(self, step: int) -> None:
        self._made = None

    def groups(self) -> dict[str, list[nn.Parameter]]:
        groups = {"features": [self.features], "edges": list(self.edges.parameters())}
        return {name: parameters for name, parameters in groups.items() if parameters}

    def begin(self, run: Context) -> None:
        if run.continued and isinstance(self._settings, GraphSimilarity):
            raise UnsupportedError(
                "a summary keeps a graph's edges, not the perceptron that makes them: start= cannot go on from it; use checkpoint="
            )

    def stored(self) -> dict[str, Tensor]:
        with torch.no_grad():
            weights = self.edges(self.features).cpu().float()
        rows, columns = (weights.triu(1) > self._settings.threshold).nonzero().T
        return {
            "features": _stored_as(self.features.detach().cpu(), self._settings.storage).clone(),
            "classes": self.packed_owners(),
            "edges": (rows * len(weights) + columns).to(torch.int32),
            "weights": weights[rows, columns].contiguous(),
        }
