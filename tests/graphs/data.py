"""A small graph of blocks: nodes of a class share features and edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import ddcore as dd

NODES, CLASSES, WIDTH = 60, 3, 12


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz``: 30 training, 12 validation and 18 test nodes."""
    random = np.random.default_rng(seed)
    y = np.arange(NODES) % CLASSES
    x = random.random((NODES, WIDTH)).astype(np.float32) * 0.3
    for c in range(CLASSES):
        x[y == c, 4 * c : 4 * c + 4] += random.random((int((y == c).sum()), 4)).astype(np.float32)
    pairs = [
        (i, j)
        for i in range(NODES)
        for j in range(i)
        if random.random() < (0.25 if y[i] == y[j] else 0.03) and i != 7 != j
    ]  # node 7 is alone
    return {
        "x": x,
        "y": y,
        "edges": np.array(pairs),
        "idx_train": np.arange(0, 30),
        "idx_val": np.arange(30, 42),
        "idx_test": np.arange(42, 60),
    }


def written(path: Path, **changes: np.ndarray) -> Path:
    """Write the arrays, some of them changed."""
    np.savez(path, **{**arrays(), **changes})
    return path


def loaded(tmp_path: Path, **options: object) -> dd.TargetData:
    return dd.load_data(written(tmp_path / "blocks.npz"), **options)


def dense_and_sparse() -> tuple[dd.graphs.Graph, dd.graphs.Graph]:
    """Return the same graph twice, in float64: its weights dense, and sparse."""
    from ddcore.graphs.sparse import sparse

    given = arrays()
    edges = torch.from_numpy(given["edges"]).T
    both = torch.cat([edges, edges.flip(0)], dim=1)
    weights = torch.rand(edges.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    matrix = sparse(both, weights.repeat(2), NODES)
    features = torch.from_numpy(given["x"]).double()
    return dd.graphs.Graph(features, matrix.to_dense()), dd.graphs.Graph(features, matrix)
