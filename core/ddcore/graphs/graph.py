"""`Graph`: features on nodes, weights on edges, and what networks send along the edges."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ddcore.graphs.sparse import as_csr, block, product, runs, sparse

FEW = 0.1
"""Share of numbers that are not zero up to which a matrix of features is kept sparse."""
MOST_IN_A_PART = 0.75
"""Share of all nodes above which a part is the whole."""
KEPT_PARTS = 2
"""Parts are kept for the next call while their nodes are at most so many times all nodes."""


class Graph:
    r"""A graph with features on its nodes.

    Networks multiply features by one of three matrices made of the weights :math:`A`:

    - ``gcn``: :math:`\hat D^{-1/2} (A + I) \hat D^{-1/2}`, with :math:`\hat D` the row sums of
      :math:`A + I`;
    - ``mean``: :math:`D^{-1} A`, rows without an edge are zero;
    - ``chebyshev``: :math:`-D^{-1/2} A D^{-1/2}`, the Laplacian scaled to :math:`[-1, 1]` with 2 as
      its largest eigenvalue.

    Each is made once, and so are the features that it has been sent through.

    Args:
        features: ``N x d``.
        weights: ``N x N``, dense or sparse (CSR); the entry (i, j) is the weight of the edge from
            node j to node i. Or ``B x n x n``, dense: those of B graphs of n nodes each that no
            edge links. None: there are no edges.

    Source: Kipf & Welling 2017 (arXiv:1609.02907); Hamilton et al. 2017 (arXiv:1706.02216);
    Defferrard et al. 2016 (arXiv:1606.09375).
    """

    def __init__(self, features: Tensor, weights: Tensor | None = None) -> None:
        self.features, self.weights = features, weights
        self._matrices: dict[str, Tensor] = {}
        self._sent: dict[tuple[str, int], Tensor] = {}
        self._elsewhere: dict[tuple[torch.device, torch.dtype], Graph] = {}
        self._parts: dict[tuple[int, bytes], Part] = {}
        """Kept for the next call, the latest last."""

    def send(self, kind: str, values: Tensor) -> Tensor:
        """Return ``N x d`` values after one product with the matrix ``kind``."""
        if self.weights is None:
            return values if kind == "gcn" else torch.zeros_like(values)
        return product(self.matrix(kind), values)

    def matrix(self, kind: str) -> Tensor:
        """Return the matrix ``kind``, ``N x N``; the graph has weights."""
        if kind not in self._matrices:
            assert self.weights is not None
            self._matrices[kind] = _matrix(kind, self.weights)
        return self._matrices[kind]

    def sent(self, kind: str, times: int) -> Tensor:
        """Return the features after ``times`` products with the matrix ``kind``, made once."""
        if times == 0:
            return self.features
        if (kind, times) not in self._sent:
            self._sent[kind, times] = self.send(kind, self.sent(kind, times - 1))
        return self._sent[kind, times]

    def sent_sparsely(self, kind: str) -> Tensor:
        """Return the features after one product, sparse (CSR) where few are not zero."""
        if (kind, -1) not in self._sent:
            sent = self.sent(kind, 1)
            if sent.requires_grad:
                return sent
            few = int(torch.count_nonzero(sent)) < FEW * sent.numel()
            self._sent[kind, -1] = as_csr(sent) if few else sent
        return self._sent[kind, -1]

    def attend(self, to: Tensor, of: Tensor, values: Tensor) -> Tensor:
        r"""Return values after attention along the edges and to oneself, ``N x heads x d``.

        Of each head :math:`\alpha_{ij}` is proportional to :math:`(A + I)_{ij}` times the
        exponential of LeakyReLU (slope .2) of :math:`t_i + o_j`.

        Args:
            to: :math:`t`, ``N x heads``.
            of: :math:`o`, ``N x heads``.
            values: ``N x heads x d``.
        """
        (senders, receivers), weights = self.edges()
        own = torch.arange(len(values), device=values.device)
        receivers, senders = torch.cat([receivers, own]), torch.cat([senders, own])
        weights = torch.cat([weights, weights.new_ones(len(own))])
        scores = torch.nn.functional.leaky_relu(to[receivers] + of[senders], 0.2)
        index = receivers[:, None].expand_as(scores)
        largest = torch.full_like(to, -torch.inf).scatter_reduce(0, index, scores.detach(), "amax")
        shares = weights[:, None] * (scores - largest[receivers]).exp()
        total = torch.zeros_like(to).index_add(0, receivers, shares)
        sent = torch.zeros_like(values).index_add(0, receivers, shares[..., None] * values[senders])
        return sent / total[..., None]

    def edges(self) -> tuple[Tensor, Tensor]:
        """Return the edges ``2 x E``, from the first row's nodes to the second's, and weights."""
        if self.weights is None:
            return torch.zeros(2, 0, dtype=torch.int64, device=self.features.device), self.features.new_zeros(0)
        if self.weights.layout != torch.strided:
            coo = self.weights.to_sparse_coo().coalesce()
            return coo.indices().flip(0), coo.values()
        places = self.weights.nonzero().T
        weights = self.weights[tuple(places)]
        if self.weights.ndim == 3:
            places = places[1:] + places[0] * self.weights.shape[1]
        return places.flip(0), weights

    def around(self, nodes: Tensor | slice, hops: int) -> tuple[Graph, Tensor | slice]:
        """Return the part that reaches these nodes, and their places in it.

        After at most ``hops`` products these nodes have in the part what they have in this graph.
        It is this graph if that is dense, or if nearly all of its nodes reach these.
        """
        if self.weights is None or self.weights.layout == torch.strided or isinstance(nodes, slice):
            return self, nodes
        members = nodes.unique()
        key = (hops, members.cpu().numpy().tobytes())
        part = self._parts.get(key)
        if part is None:
            for _ in range(hops):
                members = torch.cat([members, block(self.weights, members).col_indices()]).unique()
            if len(members) > MOST_IN_A_PART * len(self.features):
                return self, nodes
            part = Part(self, members, lambda matrix: block(matrix, members, members))
        self._keep(key, part)
        return part, torch.searchsorted(part.members, nodes)

    def of_graphs(self, starts: Tensor, chosen: Tensor) -> Part:
        """Return the nodes and edges of some of the graphs whose disjoint union this is.

        Args:
            starts: the first node of each graph, and the number of all nodes.
            chosen: indices of graphs; one may come twice.
        """
        key = (-1, chosen.cpu().numpy().tobytes())
        part = self._parts.get(key)
        if part is None:
            members, offset = runs(starts[chosen], starts[chosen + 1])
            members = members + offset

            def taken(matrix: Tensor) -> Tensor:
                if matrix.layout == torch.strided:
                    return matrix[chosen]
                return block(matrix, members, moved=torch.arange(len(members), device=members.device) - members)

            part = Part(self, members, taken)
        self._keep(key, part)
        return part

    def _keep(self, key: tuple[int, bytes], part: Part) -> None:
        """Keep a part that can serve again; leave out the oldest while all are too large."""
        if self.features.requires_grad or (self.weights is not None and self.weights.requires_grad):
            return  # it serves one step
        self._parts.pop(key, None)
        self._parts[key] = part
        while sum(len(p.features) for p in self._parts.values()) > KEPT_PARTS * len(self.features):
            self._parts.pop(next(iter(self._parts)))

    def induced(self, nodes: Tensor) -> Tensor:
        """Return the weights among these nodes, dense, ``n x n``."""
        if self.weights is None:
            return torch.zeros(len(nodes), len(nodes), dtype=self.features.dtype, device=self.features.device)
        if self.weights.layout == torch.strided:
            return self.weights[nodes][:, nodes]
        return block(self.weights, nodes, nodes).to_dense()

    def to(self, device: torch.device | None, dtype: torch.dtype | None) -> Graph:
        """Return this graph elsewhere, the same one at every call; itself where nothing changes."""
        there = self.features[:0].to(device=device, dtype=dtype)
        if (there.device, there.dtype) == (self.features.device, self.features.dtype):
            return self
        if (there.device, there.dtype) not in self._elsewhere:
            weights = None if self.weights is None else self.weights.to(there)
            self._elsewhere[there.device, there.dtype] = Graph(self.features.to(there), weights)
        return self._elsewhere[there.device, there.dtype]

    def detach(self) -> Graph:
        """Return this graph without what its tensors were computed of."""
        tensors = (self.features, self.weights)
        if not any(t is not None and t.requires_grad for t in tensors):
            return self
        return Graph(self.features.detach(), None if self.weights is None else self.weights.detach())


class Part(Graph):
    """Some nodes of a graph, with the matrices of the whole, not of their own weights.

    Args:
        whole: the graph.
        members: indices of the nodes.
        taken: returns their part of a matrix of the whole.
    """

    def __init__(self, whole: Graph, members: Tensor, taken: Callable[[Tensor], Tensor]) -> None:
        super().__init__(whole.features[members], None if whole.weights is None else taken(whole.weights))
        self.members = members
        self._whole, self._taken = whole, taken

    def matrix(self, kind: str) -> Tensor:
        if kind not in self._matrices:
            self._matrices[kind] = self._taken(self._whole.matrix(kind))
        return self._matrices[kind]

    def sent(self, kind: str, times: int) -> Tensor:
        return self._whole.sent(kind, times)[self.members]


def _matrix(kind: str, weights: Tensor) -> Tensor:
    if weights.layout == torch.strided:
        own = torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)
        looped = weights + own if kind == "gcn" else weights
        degrees = looped.sum(dim=-1)
        if kind == "mean":
            return looped * _power(degrees, -1.0)[..., None]
        root = _power(degrees, -0.5)
        return (1 if kind == "gcn" else -1) * root[..., None] * looped * root[..., None, :]
    coo = weights.to_sparse_coo().coalesce()
    (rows, columns), values = coo.indices(), coo.values()
    if kind == "gcn":
        own = torch.arange(len(weights), device=rows.device)
        rows, columns = torch.cat([rows, own]), torch.cat([columns, own])
        values = torch.cat([values, values.new_ones(len(own))])
    degrees = torch.zeros(len(weights), dtype=values.dtype, device=rows.device).index_add_(0, rows, values)
    if kind == "mean":
        values = values * _power(degrees, -1.0)[rows]
    else:
        root = _power(degrees, -0.5)
        values = (1 if kind == "gcn" else -1) * values * root[rows] * root[columns]
    return sparse(torch.stack([columns, rows]), values, len(weights))


def _power(degrees: Tensor, exponent: float) -> Tensor:
    """Return degrees to a negative power; 0 stays 0, its derivative too."""
    alone = degrees == 0
    return degrees.masked_fill(alone, 1.0).pow(exponent).masked_fill(alone, 0.0)
