"""Graphs as modalities: one, whose nodes are the examples; and many, each an example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from ddcore.coresets import FeatureSpace, Herding, KCenter
from ddcore.factorization import AsStored
from ddcore.graphs import show, show_sets
from ddcore.graphs.factorizations import GraphBernoulli, GraphFeatures, GraphNodes, GraphSimilarity
from ddcore.graphs.loading import is_graph, is_graph_file, load_graph
from ddcore.graphs.loading_sets import are_graphs, is_graphs_file, load_graphs
from ddcore.graphs.networks import APPNP, GAT, GCN, SAGE, SGC, Cheby
from ddcore.graphs.set_factorizations import BernoulliGraphs, ChosenGraphs, counterpart
from ddcore.graphs.spec import GraphSetSpec, GraphSpec
from ddcore.parts import Architecture, Card, CoresetRule, Decoded, Export, Factorization, Modality, Spec, TargetData


def chosen_in_features(rule: str | CoresetRule, protocol: str) -> str | CoresetRule:
    """Return a rule whose distances are in the features of a network trained by ``protocol``."""
    if not isinstance(rule, Herding | KCenter):
        return rule
    return replace(rule, space=FeatureSpace("network", protocol=protocol))


class Graphs(Modality):
    """One graph. Its nodes are the examples, each with ``d`` features and a class."""

    name: ClassVar[str] = "graphs"
    architectures: ClassVar[tuple[type[Architecture], ...]] = (GCN, SGC, SAGE, GAT, APPNP, Cheby)
    usual_network: ClassVar[Architecture] = GCN()
    factorizations: ClassVar[tuple[type[Factorization], ...]] = (GraphNodes, GraphSimilarity, GraphBernoulli)
    as_stored: ClassVar[type[Factorization]] = GraphFeatures
    sure: ClassVar[bool] = True

    @property
    def sources(self) -> tuple[str, ...]:
        return ("path/to/graph.npz",)

    def recognises(self, source: object) -> bool:
        return is_graph_file(Path(source)) if isinstance(source, str | Path) else is_graph(source)

    def loader(self) -> Callable[..., TargetData]:
        return load_graph

    def read_spec(self, config: Mapping[str, Any], tensors: Callable[[], dict[str, Tensor]]) -> Spec:
        return GraphSpec.restore(config)

    def selection(self, factorization: Factorization) -> Factorization:
        """Chosen nodes keep the edges among them. A trained network's features say which."""
        if not isinstance(factorization, AsStored):
            return factorization
        return GraphNodes(ipc=factorization.ipc, init=chosen_in_features(factorization.init, "gcond"))

    def as_text(self, decoded: Decoded, per_class: int) -> str:
        return show.as_text(decoded, per_class=per_class)

    def cards(self, decoded: Decoded, per_class: int) -> list[Card]:
        return show.cards(decoded, per_class=per_class)

    def picture(self, decoded: Decoded) -> Tensor | None:
        return show.picture(decoded)

    def forms(self) -> Mapping[str, Callable[[Decoded], Any] | Export]:
        return {"pyg": show.pyg_of}


class GraphSets(Modality):
    """Many graphs. Each is an example, with a class and ``d`` features on every node."""

    name: ClassVar[str] = "graph_sets"
    architectures: ClassVar[tuple[type[Architecture], ...]] = Graphs.architectures
    usual_network: ClassVar[Architecture] = GCN(width=128, depth=4, dropout=0.0)
    factorizations: ClassVar[tuple[type[Factorization], ...]] = (ChosenGraphs,)
    as_stored: ClassVar[type[Factorization]] = BernoulliGraphs
    sure: ClassVar[bool] = True

    @property
    def sources(self) -> tuple[str, ...]:
        return ("path/to/graphs.npz",)

    def recognises(self, source: object) -> bool:
        return is_graphs_file(Path(source)) if isinstance(source, str | Path) else are_graphs(source)

    def loader(self) -> Callable[..., TargetData]:
        return load_graphs

    def read_spec(self, config: Mapping[str, Any], tensors: Callable[[], dict[str, Tensor]]) -> Spec:
        return GraphSetSpec.restore(config)

    def selection(self, factorization: Factorization) -> Factorization:
        """Chosen graphs are kept as they are. A trained network's features say which."""
        if not isinstance(factorization, AsStored):
            return factorization
        return ChosenGraphs(ipc=factorization.ipc, init=chosen_in_features(factorization.init, "doscond"))

    def counterpart(self, factorization: Factorization) -> Factorization | None:
        return counterpart(factorization)

    def as_text(self, decoded: Decoded, per_class: int) -> str:
        return show_sets.as_text(decoded, per_class=per_class)

    def cards(self, decoded: Decoded, per_class: int) -> list[Card]:
        return show_sets.cards(decoded, per_class=per_class)

    def picture(self, decoded: Decoded) -> Tensor | None:
        return show_sets.picture(decoded)

    def forms(self) -> Mapping[str, Callable[[Decoded], Any] | Export]:
        return {"pyg": show_sets.pyg_of}
