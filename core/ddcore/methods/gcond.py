"""GCond, GCDM and DosCond on nodes: graph condensation by gradients and by distributions."""

from __future__ import annotations

from ddcore.graphs import GCN, SGC, GraphSimilarity
from ddcore.ground.optimiser import Optimiser
from ddcore.matching import DistributionMatching, GradientMatching
from ddcore.methods.presets import check_preset
from ddcore.parts import Ipc, Method
from ddcore.sources import FreshNetworks, TrainedOnSynthetic

TURNS = (("edges", 10), ("features", 40))


def gcond(ipc: Ipc = 10, preset: str = "paper") -> Method:
    """Match each class's gradient on graph networks that train on the synthetic graph.

    Settings of the paper's code for Cora and Citeseer (arXiv:2110.07580): SGC of two products, 601
    networks, 20 matching steps on each, 15 updates by Adam at .01 between two steps. Cosine
    distance per output unit; a class counts as its synthetic nodes over the largest class's.
    Features and edges move by Adam at 1e-4, edges on 10 of every 50 networks, features on the
    other 40.

    Two things differ from the code. The real gradient is that of all labelled nodes with their
    whole neighbourhoods; the code samples at most 10 and 5 neighbours. The networks' Adam starts
    anew after each matching step; the code's keeps its moments.

    Preset ``cpu``: 100 networks.
    """
    check_preset(preset)
    return Method(
        name="gcond",
        preset=preset,
        cites=("gcond", "dc"),
        factorization=GraphSimilarity(ipc=ipc, init="random"),
        matching=GradientMatching(distance="cosine", class_weights="size"),
        networks=TrainedOnSynthetic(SGC(), outer=20, inner=15, optimiser="adam", learning_rate=0.01),
        optimiser=Optimiser("adam", group_learning_rates={"features": 1e-4, "edges": 1e-4}, turns=TURNS),
        steps=(100 if preset == "cpu" else 601) * 20,
        protocol="gcond",
    )


def doscond(ipc: Ipc = 10, preset: str = "paper") -> Method:
    """Match each class's gradient once on every fresh network.

    Settings of the code for Cora (arXiv:2206.07746): GCN, squared distance, Adam at 1e-3, 5000
    networks. The turns of features and edges are those of `gcond`. Preset ``cpu``: 1500 networks.
    """
    check_preset(preset)
    return Method(
        name="doscond",
        preset=preset,
        cites=("doscond", "gcond"),
        factorization=GraphSimilarity(ipc=ipc, init="random"),
        matching=GradientMatching(distance="mse", class_weights="size"),
        networks=FreshNetworks(GCN(dropout=0.0)),
        optimiser=Optimiser("adam", group_learning_rates={"features": 1e-3, "edges": 1e-3}, turns=TURNS),
        steps=1500 if preset == "cpu" else 5000,
        protocol="gcond",
    )


def gcdm(ipc: Ipc = 10, preset: str = "paper") -> Method:
    """Match the class means of a fresh graph network's embeddings.

    The idea is of arXiv:2206.13697 (survey, equation 11 on graphs). Its code is not public:
    learning rates and the number of networks are ours. Preset ``cpu``: 1000 networks instead of
    2000.
    """
    check_preset(preset)
    return Method(
        name="gcdm",
        preset=preset,
        cites=("gcdm", "dm"),
        factorization=GraphSimilarity(ipc=ipc, init="random"),
        matching=DistributionMatching(),
        networks=FreshNetworks(GCN(dropout=0.0)),
        optimiser=Optimiser("adam", group_learning_rates={"features": 1e-3, "edges": 1e-3}, turns=TURNS),
        steps=1000 if preset == "cpu" else 2000,
        protocol="gcond",
    )
