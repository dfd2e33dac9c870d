"""Graph networks by name. The same weights serve sparse and dense graphs, and rows without edges.

The last layer is linear, on what the chosen nodes have received: the features. Where examples are
whole graphs it takes the mean over a graph's nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from ddcore.graphs.graph import Graph
from ddcore.graphs.graph_set import GraphSet
from ddcore.graphs.nodes import graph_of
from ddcore.graphs.sparse import product
from ddcore.parts import Architecture
from ddcore.settings import require, require_counts


class _Linear(nn.Linear):
    """A linear layer that takes sparse rows, too."""

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.layout == torch.strided:
            return super().forward(inputs)
        return product(inputs, self.weight.T) + self.bias


def _read(inputs: object, hops: int) -> tuple[Graph, Callable[[Tensor], Tensor]]:
    """Return what of a graph reaches the examples, and a function of values of its nodes.

    The function returns the examples' values. With no hops it is the whole graph.
    """
    if isinstance(inputs, GraphSet):
        return inputs.alone(), inputs.mean
    whole, nodes = graph_of(inputs)
    graph, chosen = whole.around(nodes, hops) if hops else (whole, nodes)
    return graph, lambda values: values[chosen]


class _Hidden(nn.Sequential):
    """A linear layer, ReLU, and dropout if there is any."""

    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__(_Linear(inputs, width), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else []))


@dataclass(frozen=True)
class _GraphArchitecture(Architecture):
    """Settings that graph networks share.

    Attributes:
        width: of hidden layers.
        depth: number of layers with weights.
        dropout: after every hidden layer.
    """

    width: int = 256
    depth: int = 2
    dropout: float = 0.5
    modality: ClassVar[str | None] = "graphs"
    also: ClassVar[tuple[str, ...]] = ("graph_sets",)

    def __post_init__(self) -> None:
        require_counts(width=self.width, depth=self.depth)
        require(0 <= self.dropout < 1, f"dropout must lie in [0, 1), not {self.dropout}")

    def _sizes(self, inputs: int) -> list[int]:
        return [inputs, *(self.width,) * (self.depth - 1)]


@dataclass(frozen=True)
class GCN(_GraphArchitecture):
    r"""Graph convolutions: :math:`H' = \mathrm{ReLU}(\hat A H W + b)`.

    Where examples are whole graphs the last layer takes the mean of :math:`H'`, not of
    :math:`\hat A H'`.

    Source: Kipf & Welling 2017 (arXiv:1609.02907).
    """

    name: ClassVar[str] = "gcn"

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return _Convolutions("gcn", False, self._sizes(shape[0]), num_classes, self.dropout)


@dataclass(frozen=True)
class SAGE(_GraphArchitecture):
    r"""Own features beside the neighbours' mean: :math:`H' = \mathrm{ReLU}([H, D^{-1} A H] W + b)`.

    Source: Hamilton et al. 2017 (arXiv:1706.02216).
    """

    name: ClassVar[str] = "sage"

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return _Convolutions("mean", True, self._sizes(shape[0]), num_classes, self.dropout)


@dataclass(frozen=True)
class Cheby(_GraphArchitecture):
    r"""Chebyshev filters of order 1: :math:`H' = \mathrm{ReLU}([H, \tilde L H] W + b)`.

    Source: Defferrard et al. 2016 (arXiv:1606.09375).
    """

    name: ClassVar[str] = "cheby"

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return _Convolutions("chebyshev", True, self._sizes(shape[0]), num_classes, self.dropout)


class _Convolutions(nn.Module):
    """Layers of weights on what the edges bring; ``own``: beside a node's own values."""

    def __init__(self, kind: str, own: bool, sizes: list[int], num_classes: int, dropout: float) -> None:
        super().__init__()
        self._kind, self._own = kind, own
        times = 2 if own else 1
        self.hidden = nn.ModuleList(_Hidden(times * a, b, dropout) for a, b in pairwise(sizes))
        self.head = nn.Linear(times * sizes[-1], num_classes)

    def forward(self, inputs: object) -> Tensor:
        graph, read = _read(inputs, len(self.hidden))
        if self._own or not len(self.hidden):
            received = self._beside(graph.features, graph.sent(self._kind, 1))
        else:
            received = graph.sent_sparsely(self._kind)
        for layer in self.hidden:
            values = layer(received)
            received = self._beside(values, graph.send(self._kind, values))
        if isinstance(inputs, GraphSet) and len(self.hidden) and not self._own:
            received = values
        logits: Tensor = self.head(read(received))
        return logits

    def _beside(self, values: Tensor, received: Tensor) -> Tensor:
        return torch.cat([values, received], dim=1) if self._own else received


@dataclass(frozen=True)
class SGC(_GraphArchitecture):
    r"""Features that were sent ``hops`` times, then weights: :math:`\hat A^k X W + b`.

    With a ``depth`` above 1 hidden layers come first, and their values are sent.

    Attributes:
        hops: :math:`k`.

    Source: Wu et al. 2019 (arXiv:1902.07153).
    """

    depth: int = 1
    dropout: float = 0.0
    hops: int = 2
    name: ClassVar[str] = "sgc"

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return _Propagated(self._sizes(shape[0]), num_classes, self.dropout, self.hops, 0.0)


@dataclass(frozen=True)
class APPNP(_GraphArchitecture):
    r"""Hidden layers, then personalised PageRank: :math:`Z' = (1 - \alpha) \hat A Z + \alpha H`.

    The last linear layer comes after it instead of before, which differs in the bias alone.

    Attributes:
        hops: how often.
        teleport: :math:`\alpha`.

    Source: Gasteiger et al. 2019 (arXiv:1810.05997).
    """

    hops: int = 10
    teleport: float = 0.1
    name: ClassVar[str] = "appnp"

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return _Propagated(self._sizes(shape[0]), num_classes, self.dropout, self.hops, self.teleport)


class _Propagated(nn.Module):
    """Hidden layers on each node alone, then products with the graph's matrix."""

    def __init__(self, sizes: list[int], num_classes: int, dropout: float, hops: int, teleport: float) -> None:
        super().__init__()
        self._hops, self._teleport = hops, teleport
        self.hidden = nn.Sequential(*(_Hidden(a, b, dropout) for a, b in pairwise(sizes)))
        self.head = nn.Linear(sizes[-1], num_classes)

    def forward(self, inputs: object) -> Tensor:
        kept = not len(self.hidden) and not self._teleport
        graph, read = _read(inputs, 0 if kept else self._hops)
        if kept:
            received = graph.sent("gcn", self._hops)
        else:
            first = received = self.hidden(graph.features)
            for _ in range(self._hops):
                received = graph.send("gcn", received)
                if self._teleport:
                    received = (1 - self._teleport) * received + self._teleport * first
        logits: Tensor = self.head(read(received))
        return logits


@dataclass(frozen=True)
class GAT(_GraphArchitecture):
    r"""Nodes attend to their neighbours and to themselves, with several heads.

    .. math:: H' = \mathrm{ELU}(\alpha H W + b), \qquad \alpha_{ij} \propto
        (A + I)_{ij} \exp \mathrm{LeakyReLU}(a^\top (H W)_i + c^\top (H W)_j)

    A weight of 1 is an edge as in the paper; a lesser one counts less. The last layer has one head.

    Attributes:
        width: of hidden layers, all heads together.
        heads: of hidden layers.

    Source: Velickovic et al. 2018 (arXiv:1710.10903).
    """

    width: int = 64
    heads: int = 8
    name: ClassVar[str] = "gat"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_counts(heads=self.heads)
        require(self.width % self.heads == 0, f"{self.heads} heads cannot share a width of {self.width} equally")

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return _Attending(self._sizes(shape[0]), self.heads, num_classes, self.dropout)


class _Attention(nn.Module):
    """What neighbours weigh by the values of both ends, per head."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.receiving, self.sending = (nn.Parameter(torch.empty(heads, width)) for _ in range(2))
        for vectors in (self.receiving, self.sending):
            nn.init.xavier_uniform_(vectors)

    def forward(self, graph: Graph, values: Tensor) -> Tensor:
        """Return ``N x heads x width`` values after attention, of values of that shape."""
        return graph.attend((values * self.receiving).sum(dim=2), (values * self.sending).sum(dim=2), values)


class _Attending(nn.Module):
    def __init__(self, sizes: list[int], heads: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self._heads = heads
        self.linear = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(sizes))
        self.attention = nn.ModuleList(_Attention(heads, b // heads) for b in sizes[1:])
        self.shifts = nn.ParameterList(torch.zeros(b) for b in sizes[1:])
        self.dropout = nn.Dropout(dropout)
        self.last = _Attention(1, sizes[-1])
        self.head = nn.Linear(sizes[-1], num_classes)

    def forward(self, inputs: object) -> Tensor:
        graph, read = _read(inputs, len(self.linear) + 1)
        values = graph.features
        for linear, attention, shift in zip(self.linear, self.attention, self.shifts, strict=True):
            made = linear(values).unflatten(1, (self._heads, -1))
            values = self.dropout(nn.functional.elu(attention(graph, made).flatten(1) + shift))
        logits: Tensor = self.head(read(self.last(graph, values[:, None])[:, 0]))
        return logits
