"""What graph condensation publishes, as a table, against what the methods have."""

from __future__ import annotations

import ddcore as dd
from ddcore.graphs import GCN, GraphSimilarity
from ddcore.matching import GradientMatching
from ddcore.sources import TrainedOnSynthetic
from ddcore.training import PROTOCOLS


def test_gcond_on_cora() -> None:
    """Epochs 600 and one, loops 20 and 15, two products, rates 1e-4 and .01, turns of 10 and 40."""
    method = dd.methods.build_method("gcond", ipc=10, preset="paper")
    networks, stored = method.networks, method.factorization
    assert isinstance(networks, TrainedOnSynthetic) and isinstance(stored, GraphSimilarity)
    assert (method.steps, networks.outer, networks.inner) == (601 * 20, 20, 15)
    assert dd.describe(networks.architecture) == {"type": "SGC", "width": 256, "depth": 1, "dropout": 0.0, "hops": 2}
    assert (networks.optimiser, networks.learning_rate) == ("adam", 0.01)
    assert (method.optimiser.kind, method.optimiser.group_learning_rates) == ("adam", {"features": 1e-4, "edges": 1e-4})
    assert method.optimiser.turns == (("edges", 10), ("features", 40))
    assert (stored.width, stored.depth, stored.init) == (128, 3, "random")
    assert method.matching == GradientMatching(distance="cosine", class_weights="size")


def test_doscond_on_cora() -> None:
    method = dd.methods.build_method("doscond", ipc=10, preset="paper")
    assert method.steps == 5000 and method.optimiser.group_learning_rates == {"features": 1e-3, "edges": 1e-3}
    assert method.matching == GradientMatching(distance="mse", class_weights="size")


def test_the_evaluation() -> None:
    """600 updates at .01, a tenth of it half way, with a new Adam; decay 5e-4; GCN 2 x 256."""
    protocol = PROTOCOLS["gcond"]
    training = protocol.training
    assert (training.epochs, training.optimiser, training.learning_rate) == (600, "adam_l2", 0.01)
    assert (training.weight_decay, training.drop_at, training.drop, training.restart) == (5e-4, 0.5, 0.1, True)
    assert training.keep == "best_validation" and protocol.network == GCN(width=256, depth=2, dropout=0.5)
