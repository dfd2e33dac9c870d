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
)
"""``gcond``: Jin et al. 2022 (arXiv:2110.07580) and its code."""
