"""What graph condensation publishes, as a table, against what the methods have."""

from __future__ import annotations

import pytest

import ddcore as dd
from ddcore.coresets import FeatureSpace, KCenter
from ddcore.graphs import GCN, BernoulliGraphs, GraphFeatures, GraphSimilarity, edges
from ddcore.ground.optimiser import Optimiser
from ddcore.matching import GradientMatching, StepSizes, TrajectoryMatching
from ddcore.methods import METHODS
from ddcore.sources import ExpertSegments, FreshNetworks, TrainedOnSynthetic
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
    assert method.matching == GradientMatching(distance="mse", layers="parameters", class_weights="size")


@pytest.mark.parametrize(
    ("ipc", "inner", "length", "last"), [(5, 400, 1500, 50), (10, 500, 1200, 30), (20, 500, 2000, 30)]
)
def test_sfgc_on_cora(ipc: int, inner: int, length: int, last: int) -> None:
    """200 experts of 2500 updates at .4, one of ten is kept; rates 1e-4 and 1e-6; 2000 steps."""
    method = METHODS["sfgc"].at(ipc, "paper", "cora")
    assert method.steps == 2000 and method.optimiser.learning_rate == 1e-4
    assert method.optimiser.group_learning_rates == {"step_sizes": 1e-6}
    assert method.matching == TrajectoryMatching(inner_steps=inner, step_sizes=StepSizes(0.5, "shared"))
    experts = method.networks
    assert isinstance(experts, ExpertSegments) and experts.architecture == GCN(width=256, depth=2, dropout=0.0)
    training = experts.training
    assert (training.epochs * training.passes, training.passes, training.learning_rate) == (2500, 10, 0.4)
    assert (training.momentum, training.weight_decay, experts.count) == (0.0, 0.0, 200)
    assert (experts.length * training.passes, experts.last_start - 1, experts.first_start) == (length, last, 0)
    assert method.factorization == GraphFeatures(ipc=ipc, init=KCenter(FeatureSpace("network", protocol="gcond")))


def test_the_evaluation() -> None:
    """600 updates at .01, a tenth of it half way, with a new Adam; decay 5e-4; GCN 2 x 256."""
    protocol = PROTOCOLS["gcond"]
    training = protocol.training
    assert (training.epochs, training.optimiser, training.learning_rate) == (600, "adam_l2", 0.01)
    assert (training.weight_decay, training.drop_at, training.drop, training.restart) == (5e-4, 0.5, 0.1, True)
    assert training.keep == "best_validation" and protocol.network == GCN(width=256, depth=2, dropout=0.5)


def test_doscond_on_sets_of_graphs() -> None:
    """Epochs 1000, rates by data, a tenth of them after 400; batch 256; density .1; width 128."""
    edge_rates = {"DD": 2.0, "NCI1": 1.0, "ogbg-molhiv": 0.01, "ogbg-molbace": 0.01, "ogbg-molbbbp": 2.0, "MUTAG": 0.1}
    for data, rate in edge_rates.items():
        method = METHODS["doscond"].at(10, "paper", data, "graph_sets")
        assert method.optimiser == Optimiser(
            "adam", group_learning_rates={"features": 0.01, "edges": rate}, drops=(0.4,), drop=0.1
        )
    assert method.steps == 1000 and method.factorization == BernoulliGraphs(ipc=10, init="random", density_weight=0.1)
    assert method.matching == GradientMatching(distance="relative_mse", layers="parameters", real_batch=256)
    assert method.networks == FreshNetworks(GCN(width=128, depth=4, dropout=0.0))
    assert (edges.FIRST_TEMPERATURE, edges.LAST_TEMPERATURE, edges.COOLING, edges.SURE) == (1.0, 0.01, 200, 5.0)


def test_the_evaluation_of_sets_of_graphs() -> None:
    """500 epochs at .001, a tenth of it half way, with a new Adam; no decay; batches of 128."""
    protocol = PROTOCOLS["doscond"]
    training = protocol.training
    assert (training.epochs, training.optimiser, training.learning_rate) == (500, "adam", 0.001)
    assert (training.weight_decay, training.batch_size) == (0.0, 128)
    assert (training.drop_at, training.drop, training.restart) == (0.5, 0.1, True)
    assert training.keep == "best_validation" and protocol.network == GCN(width=128, depth=4, dropout=0.0)
