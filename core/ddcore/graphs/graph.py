"""`Graph`: features on nodes, weights on edges, and what networks send along the edges."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

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
            node j to node i. None: there are no edges.

    Source: Kipf & Welling 2017 (arXiv:1609.02907); Hamilton et al. 2017 (arXiv:1706.02216);
    Defferrard et al. 2016 (arXiv:1606.09375).
    """

    def __init__(self, features: Tensor, weights: Tensor | None = None) -> None:
        self.features, self.weights = features, weights
        self._matrices: dict[str, Tensor] = {}
        self._sent: dict[tuple[str, int], Tensor] = {}
        self._elsewhere: dict[tuple[torch.device, torch.dtype], Graph] = {}
        self._parts: dict[tuple[int, bytes], Part] = {}

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
            self._sent[kind, -1] = _as_csr(sent) if few else sent
        return self._sent[kind, -1]

    def around(self, nodes: Tensor | slice, hops: int) -> tuple[Graph, Tensor | slice]:
        """Return the part that reaches these nodes, and their places in it.

        After at most ``hops`` products these nodes have in the part what they have in this graph.
        It is this graph if that is dense, or if nearly all of its nodes reach these.
        """
        if self.weights is None or self.weights.layout == torch.strided or isinstance(nodes, slice):
            return self, nodes
        members = nodes.unique()
        key = (hops, members.cpu().numpy().tobytes())
        part = self._parts.pop(key, None)
        if part is None:
            for _ in range(hops):
                members = torch.cat([members, block(self.weights, members).col_indices()]).unique()
            if len(members) > MOST_IN_A_PART * len(self.features):
                return self, nodes
            part = Part(self, members)
        self._parts[key] = part
        while sum(len(p.features) for p in self._parts.values()) > KEPT_PARTS * len(self.features):
            self._parts.pop(next(iter(self._parts)))
        return part, torch.searchsorted(part.members, nodes)

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
    """Some nodes of a sparse graph, with the matrices of the whole, not of their own weights.

    Args:
        whole: the graph.
        members: indices of the nodes, ascending.
    """

    def __init__(self, whole: Graph, members: Tensor) -> None:
        assert whole.weights is not None
        super().__init__(whole.features[members], block(whole.weights, members, members))
        self.members = members
        self._whole = whole

    def matrix(self, kind: str) -> Tensor:
        if kind not in self._matrices:
            self._matrices[kind] = block(self._whole.matrix(kind), self.members, self.members)
        return self._matrices[kind]

    def sent(self, kind: str, times: int) -> Tensor:
        return self._whole.sent(kind, times)[self.members]


def product(matrix: Tensor, values: Tensor) -> Tensor:
    """Return ``matrix @ values``. Of a sparse matrix it is in that one's own precision."""
    if matrix.layout == torch.strided:
        return matrix @ values
    with torch.autocast(values.device.type, enabled=False):
        made: Tensor = matrix @ values.to(matrix.dtype)
    return made


def sparse(edges: Tensor, weights: Tensor, nodes: int) -> Tensor:
    """Return ``nodes x nodes`` weights, sparse (CSR).

    Args:
        edges: ``2 x E``, from the first row's nodes to the second's. Repeated ones add up.
        weights: ``E``.
        nodes: how many.
    """
    return _as_csr(torch.sparse_coo_tensor(edges.flip(0), weights, (nodes, nodes), check_invariants=True).coalesce())


def block(matrix: Tensor, rows: Tensor, columns: Tensor | None = None) -> Tensor:
    """Return rows of a sparse matrix (CSR), ``n x N``; with ``columns`` these alone, ``n x m``."""
    starts, ends = matrix.crow_indices()[rows], matrix.crow_indices()[rows + 1]
    counts = ends - starts
    firsts = counts.cumsum(0) - counts
    where = torch.arange(int(counts.sum()), device=rows.device) + (starts - firsts).repeat_interleave(counts)
    row = torch.arange(len(rows), device=rows.device).repeat_interleave(counts)
    column, values, width = matrix.col_indices()[where], matrix.values()[where], matrix.shape[1]
    if columns is not None:
        place = torch.full((width,), -1, device=rows.device)
        place[columns] = torch.arange(len(columns), device=rows.device)
        inside = place[column] >= 0
        row, column, values, width = row[inside], place[column[inside]], values[inside], len(columns)
    size = (len(rows), width)
    return _as_csr(torch.sparse_coo_tensor(torch.stack([row, column]), values, size, check_invariants=False).coalesce())


def _as_csr(matrix: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        return matrix.to_sparse_csr()


def _matrix(kind: str, weights: Tensor) -> Tensor:
    if weights.layout == torch.strided:
        own = torch.eye(len(weights), dtype=weights.dtype, device=weights.device)
        looped = weights + own if kind == "gcn" else weights
        degrees = looped.sum(dim=1)
        if kind == "mean":
            return looped * _power(degrees, -1.0)[:, None]
        root = _power(degrees, -0.5)
        return (1 if kind == "gcn" else -1) * root[:, None] * looped * root
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
