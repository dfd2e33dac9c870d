"""Graph networks: sparse against dense, ours against PyTorch Geometric's layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ddcore as dd
from ddcore.graphs import APPNP, GAT, GCN, SAGE, SGC, Cheby, Graph, Nodes
from ddcore.parts import Architecture
from tests.graphs.data import CLASSES, NODES, WIDTH, dense_and_sparse

ARCHITECTURES = (
    GCN(width=8, depth=3),
    SAGE(width=8),
    Cheby(width=8),
    SGC(),
    SGC(width=8, depth=2),
    APPNP(width=8),
    GAT(width=8, heads=2),
)
SOME = torch.tensor([3, 7, 50, 11])


def built(architecture: Architecture) -> Any:
    return architecture.build((WIDTH,), CLASSES, seed=0, dtype=torch.float64).eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_the_same_weights_serve_sparse_and_dense_graphs(architecture: Architecture) -> None:
    network, results = built(architecture), []
    for graph in dense_and_sparse():
        logits = network(Nodes.as_inputs(graph, SOME))
        gradients = torch.autograd.grad(logits.square().sum(), list(network.parameters()))
        results.append([logits, *gradients])
    assert results[0][0].shape == (4, CLASSES)
    for dense, sparse in zip(*results, strict=True):
        assert torch.allclose(dense, sparse, atol=1e-10)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_rows_without_edges_are_a_graph_without_edges(architecture: Architecture) -> None:
    network, (dense, _) = built(architecture), dense_and_sparse()
    alone = Graph(dense.features, torch.zeros(NODES, NODES, dtype=torch.float64))
    expected = network(Nodes.as_inputs(alone, torch.arange(NODES)))
    assert torch.allclose(network(dense.features), expected, atol=1e-12)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_features_are_what_the_last_layer_takes(architecture: Architecture) -> None:
    network, inputs = built(architecture), Nodes.as_inputs(dense_and_sparse()[1], SOME)
    features = network.features(inputs)
    head = network.module.head
    assert features.shape == (4, network.feature_width)
    assert torch.allclose(features @ head.weight.T + head.bias, network(inputs))


def edges_of(graph: Graph) -> tuple[Tensor, Tensor]:
    assert graph.weights is not None
    targets, sources = graph.weights.nonzero().T
    return torch.stack([sources, targets]), graph.weights[targets, sources]


def test_gcn_is_that_of_pytorch_geometric() -> None:
    from torch_geometric.nn import GCNConv

    graph, network = dense_and_sparse()[0], built(GCN(width=8))
    hidden, head = network.module.hidden[0][0], network.module.head
    first, second = GCNConv(WIDTH, 8).double(), GCNConv(8, CLASSES).double()
    for conv, layer in ((first, hidden), (second, head)):
        conv.lin.weight, conv.bias = layer.weight, layer.bias
    edges, weights = edges_of(graph)
    expected = second(first(graph.features, edges, weights).relu(), edges, weights)
    assert torch.allclose(network(Nodes.as_inputs(graph, torch.arange(NODES))), expected, atol=1e-10)


def test_sage_is_that_of_pytorch_geometric() -> None:
    """Its mean takes no weights, so they are one here."""
    from torch_geometric.nn import SAGEConv

    weighted, network = dense_and_sparse()[0], built(SAGE(depth=1))
    assert weighted.weights is not None
    graph, conv = Graph(weighted.features, (weighted.weights > 0).double()), SAGEConv(WIDTH, CLASSES).double()
    head = network.module.head
    conv.lin_r.weight, conv.lin_l.weight = nn.Parameter(head.weight[:, :WIDTH]), nn.Parameter(head.weight[:, WIDTH:])
    conv.lin_l.bias = head.bias
    expected = conv(graph.features, edges_of(graph)[0])
    assert torch.allclose(network(Nodes.as_inputs(graph, torch.arange(NODES))), expected, atol=1e-10)


def test_chebyshev_filters_are_those_of_pytorch_geometric() -> None:
    from torch_geometric.nn import ChebConv

    graph, network = dense_and_sparse()[0], built(Cheby(depth=1))
    conv, head = ChebConv(WIDTH, CLASSES, K=2).double(), network.module.head
    conv.lins[0].weight, conv.lins[1].weight = (nn.Parameter(part) for part in head.weight.split(WIDTH, dim=1))
    conv.bias = head.bias
    edges, weights = edges_of(graph)
    linked = torch.arange(NODES) != 7  # a node alone has no Laplacian there
    expected = conv(graph.features, edges, weights, lambda_max=torch.tensor(2.0, dtype=torch.float64))
    found = network(Nodes.as_inputs(graph, torch.arange(NODES)))
    assert torch.allclose(found[linked], expected[linked], atol=1e-10)


def test_sgc_and_appnp_are_those_of_pytorch_geometric() -> None:
    from torch_geometric import nn as pyg

    graph = dense_and_sparse()[0]
    edges, weights = edges_of(graph)
    everyone = Nodes.as_inputs(graph, torch.arange(NODES))
    network, conv = built(SGC(hops=3)), pyg.SGConv(WIDTH, CLASSES, K=3).double()
    conv.lin = network.module.head
    assert torch.allclose(network(everyone), conv(graph.features, edges, weights), atol=1e-10)
    network = built(APPNP(width=8, hops=4, teleport=0.2))
    sent = pyg.APPNP(4, 0.2)(network.module.hidden(graph.features), edges, weights)
    assert torch.allclose(network.features(everyone), sent, atol=1e-10)


def test_gat_is_that_of_pytorch_geometric() -> None:
    """Its layers take no weights, so they are one here."""
    from torch_geometric.nn import GATConv

    weighted, network = dense_and_sparse()[0], built(GAT(width=8, heads=2))
    assert weighted.weights is not None
    graph, ours = Graph(weighted.features, (weighted.weights > 0).double()), network.module
    conv = GATConv(WIDTH, 4, heads=2).double()
    conv.lin.weight, conv.bias = ours.linear[0].weight, ours.shifts[0]
    conv.att_dst, conv.att_src = (
        nn.Parameter(a[None]) for a in (ours.attention[0].receiving, ours.attention[0].sending)
    )
    edges = edges_of(graph)[0]
    hidden = torch.nn.functional.elu(conv(graph.features, edges))
    # Our last layer attends before it multiplies: a unit matrix of theirs attends to the same.
    last = GATConv(8, 8).double()
    last.lin.weight = nn.Parameter(torch.eye(8, dtype=torch.float64))
    last.att_dst, last.att_src = (nn.Parameter(a[None]) for a in (ours.last.receiving, ours.last.sending))
    found = network.features(Nodes.as_inputs(graph, torch.arange(NODES)))
    assert torch.allclose(found, last(hidden, edges), atol=1e-10)


def test_a_multilayer_perceptron_takes_the_nodes_alone() -> None:
    network = dd.networks.MLP(width=5).build((WIDTH,), CLASSES, seed=0, dtype=torch.float64)
    graph = dense_and_sparse()[1]
    assert torch.equal(network(Nodes.as_inputs(graph, SOME)), network(graph.features[SOME]))


def test_sparse_features_give_what_dense_ones_give() -> None:
    """Features of a few words are multiplied sparsely, and give the same gradients."""
    weights = dense_and_sparse()[1].weights
    few = torch.zeros(NODES, 200, dtype=torch.float64)
    few[torch.arange(NODES), torch.arange(NODES) % 200] = 1.0
    network = GCN(width=8).build((200,), CLASSES, seed=0, dtype=torch.float64).eval()
    graph = Graph(few, weights)
    assert graph.sent_sparsely("gcn").layout == torch.sparse_csr
    assert weights is not None
    found = network(Nodes.as_inputs(graph, SOME))
    expected = network(Nodes.as_inputs(Graph(few.clone().requires_grad_(), weights.to_dense()), SOME))
    assert torch.allclose(found, expected, atol=1e-10)
    for a, b in zip(
        *(torch.autograd.grad(r.sum(), list(network.parameters())) for r in (found, expected)), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-10)


@pytest.mark.parametrize("architecture", ARCHITECTURES[:3], ids=str)
def test_the_part_that_reaches_some_nodes_gives_what_the_whole_gives(
    architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, graph = built(architecture), dense_and_sparse()[1]
    few = torch.tensor([11, 3])
    part, _ = graph.around(few, len(network.module.hidden))
    assert part is not graph and part.features.shape[0] < NODES
    results = []
    for share in (0.75, 0.0):
        monkeypatch.setattr("ddcore.graphs.graph.MOST_IN_A_PART", share)
        graph._parts.clear()
        logits = network(Nodes.as_inputs(graph, few))
        results.append([logits, *torch.autograd.grad(logits.square().sum(), list(network.parameters()))])
    for of_part, of_whole in zip(*results, strict=True):
        assert torch.allclose(of_part, of_whole, atol=1e-12)


def test_parts_are_kept_while_they_are_small() -> None:
    graph = dense_and_sparse()[1]
    first = graph.around(torch.tensor([3, 11]), 1)[0]
    again, places = graph.around(torch.tensor([11, 3]), 1)
    assert again is first and isinstance(places, torch.Tensor)
    assert torch.equal(again.features[places], graph.features[[11, 3]])
    for node in range(NODES):
        graph.around(torch.tensor([node]), 1)
    assert 0 < sum(len(part.features) for part in graph._parts.values()) <= 2 * NODES
    assert graph.around(torch.tensor([3, 11]), 1)[0] is not first


def test_a_lesser_weight_is_attended_to_less() -> None:
    """Where all scores are equal, attention is the mean by weight, a node itself at weight 1."""
    dense, sparse = dense_and_sparse()
    assert dense.weights is not None
    looped = dense.weights + torch.eye(NODES, dtype=torch.float64)
    expected = looped / looped.sum(dim=1, keepdim=True) @ dense.features
    scores = torch.zeros(NODES, 1, dtype=torch.float64)
    for graph in (dense, sparse):
        assert torch.allclose(graph.attend(scores, scores, graph.features[:, None])[:, 0], expected)
