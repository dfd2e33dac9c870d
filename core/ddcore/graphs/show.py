"""A synthetic graph as text, as a picture, and as a ``Data`` of PyTorch Geometric."""

from __future__ import annotations

import colorsys
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ddcore.errors import MissingExtraError
from ddcore.graphs.graph import Graph
from ddcore.graphs.nodes import graph_of
from ddcore.parts import Card, Decoded

SIDE = 640
LARGEST_DRAWN = 1000


def weights_of(decoded: Decoded) -> Tensor:
    """Return the weights among the examples, dense, ``n x n``."""
    graph, chosen = graph_of(decoded.inputs)
    nodes = torch.arange(len(graph.features))[chosen]
    return graph.induced(nodes)


def pyg_of(decoded: Decoded) -> Any:
    """Return a ``Data`` with ``x``, ``edge_index``, ``edge_weight`` and ``y``.

    An edge stands in it in both directions.

    Raises:
        MissingExtraError: PyTorch Geometric is not installed.
    """
    data = data_class()
    weights = weights_of(decoded)
    targets, sources = weights.nonzero().T
    return data(
        x=decoded.inputs.flatten(1),
        edge_index=torch.stack([sources, targets]),
        edge_weight=weights[targets, sources],
        y=decoded.targets,
    )


def data_class() -> Any:
    """Return ``Data`` of PyTorch Geometric, or raise `MissingExtraError`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.script", FutureWarning)  # at its import
        try:
            from torch_geometric.data import Data
        except ImportError as error:
            raise MissingExtraError("a Data of PyTorch Geometric", "torch_geometric", "graphs") from error
    return Data


def as_text(decoded: Decoded, *, per_class: int = 5) -> str:
    """Return, per class, its nodes, and the edges to nodes of its own and of other classes."""
    lines = [f"{'class':<24}{'nodes':>8}{'edges inside':>14}{'edges out':>12}"]
    lines += [f"{name[:23]:<24}{nodes:>8}{inside:>14}{out:>12}" for name, nodes, inside, out in _by_class(decoded)]
    return "\n".join(lines)


def cards(decoded: Decoded, *, per_class: int = 5) -> list[Card]:
    """Return one card: the drawing, if there is one, and a table of the classes."""
    drawing, rows = picture(decoded), _by_class(decoded)
    says = f"A graph of {len(decoded.owners)} nodes in {len(rows)} classes, coloured by class"
    return [
        Card(
            "The graph",
            pictures=() if drawing is None else (drawing,),
            says=() if drawing is None else (says,),
            columns=("class", "nodes", "edges inside", "edges out"),
            rows=tuple((name, str(nodes), str(inside), str(out)) for name, nodes, inside, out in rows),
        )
    ]


def _by_class(decoded: Decoded) -> list[tuple[str, int, int, int]]:
    """Return, per class, its name, its nodes, edges among them, and edges to other classes."""
    linked, owners, found = weights_of(decoded) > 0, decoded.owners, []
    for class_id in owners.unique().tolist():
        mine = owners == class_id
        inside, out = int(linked[mine][:, mine].sum()) // 2, int(linked[mine][:, ~mine].sum())
        found.append((decoded.spec.name_of(class_id), int(mine.sum()), inside, out))
    return found


def picture(decoded: Decoded) -> Tensor | None:
    """Return a drawing, ``height x width x 3`` bytes; nodes are coloured by class.

    Nodes lie by the Laplacian's eigenvectors of its second and third eigenvalue. Heavier edges are
    darker. None for more than 1000 nodes.
    """
    weights = weights_of(decoded)
    if len(weights) > LARGEST_DRAWN:
        return None
    colours = [colour_of(owner, int(decoded.owners.max()) + 1) for owner in decoded.owners.tolist()]
    return drawn(weights, decoded.owners, colours, SIDE)


def colour_of(number: int, count: int) -> tuple[int, int, int]:
    """Return one of ``count`` colours, red, green and blue in 0..255."""
    red, green, blue = (int(255 * v) for v in colorsys.hsv_to_rgb(number / count, 0.7, 0.85))
    return red, green, blue


def drawn(weights: Tensor, groups: Tensor, colours: Sequence[tuple[int, int, int]], side: int) -> Tensor:
    """Return a drawing of a graph, ``side x side x 3`` bytes.

    Args:
        weights: ``n x n``.
        groups: a number per node; nodes of one number lie closer together.
        colours: of the nodes.
        side: in pixels.
    """
    import numpy as np
    from PIL import Image, ImageDraw

    places = _layout(weights, groups, side)
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    most = float(weights.max()) or 1.0
    for i, j in (weights.triu(1) > 0.1 * most).nonzero().tolist():
        shade = int(235 - 150 * float(weights[i, j]) / most)
        draw.line([tuple(places[i]), tuple(places[j])], fill=(shade, shade, shade), width=1)
    radius = side // 100
    for (x, y), colour in zip(places, colours, strict=True):
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour, outline="black")
    return torch.from_numpy(np.asarray(image).copy())


def _layout(weights: Tensor, owners: Tensor, side: int) -> list[list[float]]:
    """Return the place of each node in pixels."""
    together = 0.05 * (owners[:, None] == owners[None]).double()
    matrix = Graph(torch.zeros(len(weights), 1), weights.double() + together + 1e-3).send(
        "gcn", torch.eye(len(weights), dtype=torch.float64)
    )
    _, vectors = torch.linalg.eigh(matrix)
    plane = vectors[:, -3:-1] if len(weights) >= 3 else torch.zeros(len(weights), 2, dtype=torch.float64)
    ranks = plane.argsort(dim=0).argsort(dim=0).double() / max(1, len(weights) - 1)
    spread = (plane - plane.amin(dim=0)) / (plane.amax(dim=0) - plane.amin(dim=0)).clamp_min(1e-9)
    return (side / 32 + side * (15 / 16) * (ranks + spread) / 2).tolist()
