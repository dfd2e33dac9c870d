"""Graphs: nodes with features, edges and a class each; and sets of graphs with a class each."""

from ddcore.graphs.factorizations import GraphBernoulli, GraphFeatures, GraphNodes, GraphSimilarity
from ddcore.graphs.graph import Graph
from ddcore.graphs.graph_set import GraphSet
from ddcore.graphs.loading import load_graph
from ddcore.graphs.loading_sets import load_graphs
from ddcore.graphs.modality import Graphs, GraphSets
from ddcore.graphs.networks import APPNP, GAT, GCN, SAGE, SGC, Cheby
from ddcore.graphs.nodes import Nodes
from ddcore.graphs.protocols import GRAPH_PROTOCOLS
from ddcore.graphs.ratio import ipc_for_ratio
from ddcore.graphs.set_factorizations import BernoulliGraphs, ChosenGraphs
from ddcore.graphs.show import pyg_of
from ddcore.graphs.spec import GraphSetSpec, GraphSpec
from ddcore.parts import add_modality
from ddcore.training import PROTOCOLS

add_modality(Graphs())
add_modality(GraphSets())
PROTOCOLS.update({protocol.name: protocol for protocol in GRAPH_PROTOCOLS})

__all__ = [
    "APPNP",
    "GAT",
    "GCN",
    "SAGE",
    "SGC",
    "BernoulliGraphs",
    "Cheby",
    "ChosenGraphs",
    "Graph",
    "GraphBernoulli",
    "GraphFeatures",
    "GraphNodes",
    "GraphSet",
    "GraphSetSpec",
    "GraphSets",
    "GraphSimilarity",
    "GraphSpec",
    "Graphs",
    "Nodes",
    "ipc_for_ratio",
    "load_graph",
    "load_graphs",
    "pyg_of",
]
