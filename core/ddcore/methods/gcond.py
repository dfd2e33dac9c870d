"""GCond, GCDM and DosCond on nodes: graph condensation by gradients and by distributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ddcore.graphs import GCN, SGC, BernoulliGraphs, GraphBernoulli, GraphSimilarity
from ddcore.ground.optimiser import Optimiser
from ddcore.matching import DistributionMatching, GradientMatching
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method
from ddcore.sources import FreshNetworks, TrainedOnSynthetic

TURNS = (("edges", 10), ("features", 40))
DRAWN_EDGES = Optimiser("adam", group_learning_rates={"features": 1e-4, "edges": 1e-2})
"""Where edges have learned probabilities. Chosen on the validation nodes of Cora."""


def gcond(ipc: Ipc = 10, preset: str | None = None) -> Method:
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
    preset = settled_preset(preset)
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


EDGE_RATES: Mapping[str, float] = {
    "MUTAG": 0.1,
    "NCI1": 1.0,
    "DD": 2.0,
    "ogbg-molhiv": 0.01,
    "ogbg-molbace": 0.01,
    "ogbg-molbbbp": 2.0,
}
"""Learning rates of the edges' logits, by data (the code of arXiv:2206.07746, its script)."""


def doscond(ipc: Ipc = 10, preset: str | None = None, data: str | None = None, modality: str | None = None) -> Method:
    """Match each class's gradient once on every fresh network.

    Nodes of one graph: settings of the code for Cora (arXiv:2206.07746): GCN, squared distance,
    Adam at 1e-3, 5000 networks. The turns of features and edges are those of `gcond`. Preset
    ``cpu``: 500 networks; edges are drawn from learned probabilities, as on sets of graphs, and
    start as those of herded nodes; Adam at 1e-4 for features and at .01 for edges.

    Graphs of which each is an example: GCN of width 128, three convolutions and a linear layer,
    squared distance over the real gradient's square, 1000 networks, 256 real graphs per class.
    Edges are drawn from learned probabilities. Adam at .01 for features; for edges at .1 (MUTAG and
    data without a published rate) to 2; a tenth of both from two fifths of the run on. The code
    starts Adam anew there. Preset ``cpu``: the same.
    """
    preset = settled_preset(preset)
    if modality == "graph_sets":
        return _doscond_of_sets(ipc, preset, data)
    method = Method(
        name="doscond",
        preset=preset,
        cites=("doscond", "gcond"),
        factorization=GraphSimilarity(ipc=ipc, init="random"),
        matching=GradientMatching(distance="mse", layers="parameters", class_weights="size"),
        networks=FreshNetworks(GCN(dropout=0.0)),
        optimiser=Optimiser("adam", group_learning_rates={"features": 1e-3, "edges": 1e-3}, turns=TURNS),
        steps=5000,
        protocol="gcond",
    )
    if preset == "paper":
        return method
    return replace(method, factorization=GraphBernoulli(ipc=ipc, init="herding"), optimiser=DRAWN_EDGES, steps=500)


def _doscond_of_sets(ipc: Ipc, preset: str, data: str | None) -> Method:
    rates = {"features": 0.01, "edges": EDGE_RATES.get(data or "", EDGE_RATES["MUTAG"])}
    return Method(
        name="doscond",
        preset=preset,
        cites=("doscond", "gcond"),
        factorization=BernoulliGraphs(ipc=ipc, init="random"),
        matching=GradientMatching(distance="relative_mse", layers="parameters"),
        networks=FreshNetworks(GCN(width=128, depth=4, dropout=0.0)),
        optimiser=Optimiser("adam", group_learning_rates=rates, drops=(0.4,), drop=0.1),
        steps=1000,
        protocol="doscond",
    )


def gcdm(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """Match the class means of a fresh graph network's embeddings.

    The idea is of arXiv:2206.13697 (survey, equation 11 on graphs). Its code is not public: edges
    of learned probabilities, learning rates and the number of networks are ours, chosen on the
    validation nodes of Cora. Preset ``cpu``: 500 networks instead of 2000.
    """
    preset = settled_preset(preset)
    return Method(
        name="gcdm",
        preset=preset,
        cites=("gcdm", "dm"),
        factorization=GraphBernoulli(ipc=ipc, init="herding"),
        matching=DistributionMatching(),
        networks=FreshNetworks(GCN(dropout=0.0)),
        optimiser=DRAWN_EDGES,
        steps=500 if preset == "cpu" else 2000,
        protocol="gcond",
    )
