"""Graphs: nodes with features, edges and a class each."""

from ddcore.graphs.factorizations import GraphFeatures, GraphNodes, GraphSimilarity
from ddcore.graphs.graph import Graph
from ddcore.graphs.loading import load_graph
from ddcore.graphs.modality import Graphs
from ddcore.graphs.networks import APPNP, GAT, GCN, SAGE, SGC, Cheby
from ddcore.graphs.nodes import Nodes
from ddcore.graphs.protocols import GRAPH_PROTOCOLS
from ddcore.graphs.ratio import ipc_for_ratio
from ddcore.graphs.show import pyg_of
from ddcore.graphs.spec import GraphSpec
from ddcore.parts import add_modality
from ddcore.training import PROTOCOLS

add_modality(Graphs())
PROTOCOLS.update({protocol.name: protocol for protocol in GRAPH_PROTOCOLS})

__all__ = [
    "APPNP",
    "GAT",
    "GCN",
    "SAGE",
    "SGC",
    "Cheby",
    "Graph",
    "GraphFeatures",
    "GraphNodes",
    "GraphSimilarity",
    "GraphSpec",
    "Graphs",
    "Nodes",
    "ipc_for_ratio",
    "load_graph",
    "pyg_of",
]
