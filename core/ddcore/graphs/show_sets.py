"""Synthetic graphs as text, as a picture, and as a list of ``Data`` of PyTorch Geometric."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ddcore.graphs.graph_set import GraphSet, graph_set_of
from ddcore.graphs.show import LARGEST_DRAWN, colour_of, data_class, drawn
from ddcore.ground import named_rows
from ddcore.parts import Card, Decoded

SIDE, COLUMNS, ROWS = 200, 6, 20


def as_text(decoded: Decoded, *, per_class: int = 5) -> str:
    """Return, per class, nodes and edges of its graphs."""
    graphs, owners = graph_set_of(decoded.inputs, "what is shown"), decoded.owners
    lines = [f"{'class':<24}{'graphs':>8}{'nodes':>8}{'edges':>8}   of the first graphs, nodes/edges"]
    for class_id in owners.unique().tolist():
        mine = _separate(graphs, (owners == class_id).nonzero().flatten())
        nodes, edges = [len(x) for x, _ in mine], [e.shape[1] // 2 for _, e in mine]
        each = ", ".join(f"{n}/{e}" for n, e in list(zip(nodes, edges, strict=True))[:per_class])
        name = decoded.spec.name_of(class_id)[:23]
        lines.append(f"{name:<24}{len(mine):>8}{sum(nodes):>8}{sum(edges):>8}   {each}")
    return "\n".join(lines)


def picture(decoded: Decoded) -> Tensor | None:
    """Return drawings of graphs, a row per class, ``height x width x 3`` bytes.

    A node's colour is its largest feature. At most 6 graphs of each class are drawn, and 20
    classes; graphs of more than 1000 nodes are not.
    """
    graphs, owners = graph_set_of(decoded.inputs, "what is shown"), decoded.owners
    rows = []
    for class_id in owners.unique().tolist()[:ROWS]:
        mine = _separate(graphs, (owners == class_id).nonzero().flatten()[:COLUMNS])
        cells = [_drawn(x, edges) for x, edges in mine if len(x) <= LARGEST_DRAWN]
        blank = torch.full((SIDE, SIDE, 3), 255, dtype=torch.uint8)
        rows.append(torch.cat((cells + [blank] * COLUMNS)[:COLUMNS], dim=1))
    names = [decoded.spec.name_of(class_id) for class_id in owners.unique().tolist()[:ROWS]]
    return named_rows(torch.cat(rows), names, SIDE)


def cards(decoded: Decoded, *, per_class: int = 6) -> list[Card]:
    """Return a card per class with drawings of its graphs. A node's colour is its largest feature.

    Graphs of more than 1000 nodes are not drawn.
    """
    graphs, found = graph_set_of(decoded.inputs, "what is shown"), []
    for class_id, indices in decoded.first_of_classes(per_class).items():
        mine = [g for g in _separate(graphs, torch.tensor(indices)) if len(g[0]) <= LARGEST_DRAWN]
        says = tuple(f"A graph of {len(x)} nodes and {edges.shape[1] // 2} edges" for x, edges in mine)
        found.append(Card(decoded.spec.name_of(class_id), tuple(_drawn(x, edges) for x, edges in mine), says))
    return found


def pyg_of(decoded: Decoded) -> Any:
    """Return a list of ``Data`` with ``x``, ``edge_index`` and ``y``.

    An edge stands in it in both directions.

    Raises:
        MissingExtraError: PyTorch Geometric is not installed.
    """
    data = data_class()
    separate = _separate(graph_set_of(decoded.inputs, "what becomes Data"), torch.arange(len(decoded.inputs)))
    return [
        data(x=x, edge_index=edges, y=target[None])
        for (x, edges), target in zip(separate, decoded.targets, strict=True)
    ]


def _separate(graphs: GraphSet, which: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return features ``n x d`` and edges ``2 x E`` of some graphs, each graph's own."""
    found = []
    for i in which.tolist():
        alone = graphs[torch.tensor([i])].alone()
        found.append((alone.features, alone.edges()[0]))
    return found


def _drawn(features: Tensor, edges: Tensor) -> Tensor:
    weights = torch.zeros(len(features), len(features))
    weights[edges[1], edges[0]] = 1.0
    kinds = features.argmax(dim=1).tolist()
    colours = [colour_of(kind, features.shape[1]) for kind in kinds]
    return drawn(weights, torch.zeros(len(features)), colours, SIDE)
