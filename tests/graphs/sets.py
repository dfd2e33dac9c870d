"""Small graphs of two classes: rings, and stars whose centre is of a kind of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import ddcore as dd
from ddcore.graphs import Graph, GraphSet
from ddcore.graphs.graph_set import starts_of
from ddcore.graphs.sparse import sparse

KINDS = 4


def arrays(count: int = 40, seed: int = 0) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz``. Odd graphs are stars; some graphs have a node alone."""
    random = np.random.default_rng(seed)
    edges, node_graph, kinds, first = [], [], [], 0
    for g in range(count):
        n = int(random.integers(4, 8))
        star = [(first, first + i) for i in range(1, n)]
        ring = [(first + i, first + (i + 1) % n) for i in range(n)]
        edges += star if g % 2 else ring
        alone = int(g % 5 == 0)
        node_graph += [g] * (n + alone)
        kinds += [*([KINDS - 1] if g % 2 else []), *random.integers(0, KINDS - 1, n + alone - g % 2).tolist()]
        first += n + alone
    return {
        "edges": np.array(edges),
        "node_graph": np.array(node_graph),
        "graph_label": np.where(np.arange(count) % 2, 1, -1),
        "node_label": np.array(kinds),
    }


def written(path: Path, **changes: np.ndarray) -> Path:
    """Write the arrays, some of them changed."""
    np.savez(path, **{**arrays(), **changes})
    return path


def loaded(tmp_path: Path, **options: object) -> dd.TargetData:
    return dd.load_data(written(tmp_path / "graphs.npz"), test=0.2, validation=0.2, **options)


def blocks_and_union() -> tuple[GraphSet, GraphSet]:
    """Return the same three graphs of five nodes twice: as dense blocks, and as a sparse union."""
    random = torch.Generator().manual_seed(2)
    there = (torch.rand(3, 5, 5, generator=random, dtype=torch.float64) < 0.5).double().triu(1)
    weights = there * (0.2 + torch.rand(3, 5, 5, generator=random, dtype=torch.float64))
    weights = weights + weights.transpose(1, 2)
    features = torch.randn(15, 6, generator=random, dtype=torch.float64)
    starts, every = starts_of(torch.tensor([5, 5, 5])), torch.arange(3)
    blocks = GraphSet(Graph(features, weights), every, starts)
    edges, values = blocks.graph.edges()
    return blocks, GraphSet(Graph(features, sparse(edges, values, 15)), every, starts)
