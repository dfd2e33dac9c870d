"""Evaluation protocols of graph condensation."""

from __future__ import annotations

from ddcore.graphs.networks import GCN
from ddcore.training import Protocol, Training

WHOLE = 1_000_000
"""A batch that no synthetic graph fills: all nodes are one batch."""

GRAPH_PROTOCOLS = (
    Protocol(
        "gcond",
        Training(
            epochs=600,
            optimiser="adam_l2",
            learning_rate=0.01,
            batch_size=WHOLE,
            keep="best_validation",
        ),
        GCN(),
    ),
    Protocol(
        "doscond",
        Training(
            epochs=500,
            optimiser="adam",
            learning_rate=0.001,
            weight_decay=0.0,
            batch_size=128,
            keep="best_validation",
        ),
        GCN(width=128, depth=4, dropout=0.0),
    ),
)
"""``gcond``: Jin et al. 2022 (arXiv:2110.07580) and its code. ``doscond``, for sets of graphs: Jin
et al. 2022 (arXiv:2206.07746) and its code."""
