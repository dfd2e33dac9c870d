"""Graphs of which each is an example: networks, relaxed edges, storage, methods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import ddcore as dd
from ddcore.errors import InputDataError, UnsupportedError
from ddcore.graphs import APPNP, GAT, GCN, SAGE, SGC, BernoulliGraphs, Cheby, Graph, GraphBernoulli, GraphSet
from ddcore.graphs.edges import RelaxedEdges
from ddcore.graphs.factorizations import GraphExamples
from ddcore.graphs.graph_set import starts_of
from ddcore.graphs.set_factorizations import GraphSetExamples
from ddcore.matching import GradientMatching
from ddcore.parts import Architecture, Method
from ddcore.sources import FixedNetworks
from ddcore.training import PROTOCOLS
from tests.graphs.sets import KINDS, blocks_and_union, loaded

ARCHITECTURES = (
    GCN(width=8, depth=4, dropout=0.0),
    SAGE(width=8, dropout=0.0),
    Cheby(width=8, dropout=0.0),
    SGC(),
    APPNP(width=8, dropout=0.0),
    GAT(width=8, heads=2, dropout=0.0),
)
SHORT = PROTOCOLS["doscond"].with_epochs(20)


def small(steps: int = 6) -> Method:
    method = dd.methods.METHODS["doscond"].at(2, "cpu", "MUTAG", "graph_sets").with_steps(steps)
    return dd.override(method, "networks.architecture", GCN(width=8, depth=4, dropout=0.0))


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_a_graph_among_others_is_what_it_is_alone(architecture: Architecture) -> None:
    """Dense blocks, a sparse union, and one graph after the other; one of them comes twice."""
    network = architecture.build((6,), 2, seed=0, dtype=torch.float64).eval()
    order = torch.tensor([2, 0, 2, 1])
    found = [network(graphs[order]) for graphs in blocks_and_union()]  # type: ignore[arg-type]
    alone = []
    for i in order.tolist():
        blocks = blocks_and_union()[0]
        assert blocks.graph.weights is not None
        graph = Graph(blocks.graph.features[5 * i : 5 * i + 5], blocks.graph.weights[i : i + 1])
        alone.append(network(GraphSet(graph, torch.tensor([0]), torch.tensor([0, 5]))))  # type: ignore[arg-type]
    for logits in found:
        assert torch.allclose(logits, torch.cat(alone), atol=1e-10)
    gradients = [torch.autograd.grad(logits.square().sum(), list(network.parameters())) for logits in found]
    for dense, sparse in zip(*gradients, strict=True):
        assert torch.allclose(dense, sparse, atol=1e-10)


def test_the_network_of_sets_is_made_of_layers_of_pytorch_geometric() -> None:
    """Convolutions with ReLU, the mean over nodes, and a linear layer."""
    from torch_geometric.nn import GCNConv, global_mean_pool

    network = GCN(width=8, depth=3, dropout=0.0).build((6,), 2, seed=0, dtype=torch.float64).eval()
    graphs = blocks_and_union()[1]
    edges, weights = graphs.graph.edges()
    values = graphs.graph.features
    for layer in network.module.hidden:  # type: ignore[union-attr]
        conv = GCNConv(layer[0].in_features, 8).double()
        conv.lin.weight, conv.bias = layer[0].weight, layer[0].bias
        values = conv(values, edges, weights).relu()
    pooled = global_mean_pool(values, torch.arange(3).repeat_interleave(5))
    assert torch.allclose(network(graphs), network.module.head(pooled), atol=1e-10)  # type: ignore[union-attr, arg-type]


def test_a_perceptron_sees_mean_features() -> None:
    network = dd.networks.MLP(width=5).build((6,), 2, seed=0, dtype=torch.float64)
    graphs = blocks_and_union()[1]
    assert torch.allclose(network(graphs), network(graphs.graph.features.view(3, 5, 6).mean(dim=1)))  # type: ignore[arg-type]


def test_joined_graphs_are_the_graphs() -> None:
    blocks, union = blocks_and_union()
    joined = torch.cat([blocks[torch.tensor([1])], union[torch.tensor([2, 0])]])  # type: ignore[list-item]
    network = ARCHITECTURES[0].build((6,), 2, seed=0, dtype=torch.float64).eval()
    assert torch.allclose(network(joined), network(union[torch.tensor([1, 2, 0])]))  # type: ignore[arg-type]
    same = torch.cat([blocks, blocks[torch.tensor([0])]])  # type: ignore[list-item]
    assert same.graph is blocks.graph and same.chosen.tolist() == [0, 1, 2, 0]  # type: ignore[attr-defined]


def test_relaxed_edges_are_drawn_by_their_probability() -> None:
    weights = torch.zeros(2000, 3, 3)
    edges = RelaxedEdges(weights)
    with torch.no_grad():
        edges.logits.copy_(torch.tensor([[0.0, 2.0, -1.0], [1.0, 0.0, 0.5], [-1.0, 0.5, 0.0]]))
    for _ in range(250):
        edges.after_step()
    drawn = edges(weights, torch.Generator().manual_seed(0)).detach()
    assert torch.equal(drawn, drawn.transpose(1, 2)) and float(drawn.diagonal(dim1=1, dim2=2).abs().max()) == 0
    expected = torch.sigmoid(torch.tensor([1.5, -1.0, 0.5]))  # the logits' symmetric part
    assert torch.allclose(drawn[:, [0, 0, 1], [1, 2, 2]].mean(dim=0), expected, atol=0.03)
    sure = (drawn < 0.02) | (drawn > 0.98)
    assert float(sure.float().mean()) > 0.95
    kept = edges(weights)[0]
    assert kept.tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_edges_cool_from_one_to_a_hundredth() -> None:
    """With the same noise a relaxed edge's logit grows as the temperature falls."""
    weights = torch.zeros(1, 2, 2, dtype=torch.float64)
    edges, logits = RelaxedEdges(weights), []
    for updates in (0, 100, 200, 300):
        edges.updates.fill_(updates)
        drawn = edges(weights, torch.Generator().manual_seed(4))[0, 0, 1]
        logits.append(torch.logit(drawn).item())
    assert logits[1] / logits[0] == pytest.approx(10.0)
    assert logits[2] == logits[3]


def test_every_update_cools(tmp_path: Path) -> None:
    spec, owners = loaded(tmp_path).spec, torch.tensor([0, 1])
    of_set = GraphSetExamples(
        BernoulliGraphs(), torch.zeros(6, KINDS), torch.tensor([3, 3]), RelaxedEdges(torch.zeros(2, 3, 3)), owners, spec
    )
    of_nodes = GraphExamples(GraphBernoulli(), torch.zeros(2, KINDS), RelaxedEdges(torch.zeros(2, 2)), owners, spec)
    for examples in (of_set, of_nodes):
        for step in range(3):
            examples.after_step(step)
        assert int(examples.edges.updates) == 3  # type: ignore[arg-type]


def test_more_edges_than_at_first_cost() -> None:
    edges = RelaxedEdges(torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]))
    dense = torch.sigmoid(edges.logits).mean().item()
    assert edges.penalty().item() == pytest.approx(0.1 * max(0.0, dense - 0.5))
    with torch.no_grad():
        edges.logits.fill_(5.0)
    assert edges.penalty().item() == pytest.approx(0.04933, abs=1e-5)


def test_condensed_graphs_are_kept_loaded_and_trained_on(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    summary = dd.distill(target, small(), seed=0)
    nodes = summary.parts[0].stored["nodes"].tolist()
    assert nodes == [6] * 4  # 5.5 on average
    again = dd.DataSummary.load(summary.save(tmp_path / "kept"))
    for a, b in zip(summary.tensors()[0].tensors(), again.tensors()[0].tensors(), strict=True):  # type: ignore[attr-defined]
        assert torch.equal(a.float(), b.float())
    assert again.stored_bytes == sum(t.numel() * t.element_size() for t in again.parts[0].stored.values())
    report = dd.evaluate(again, target, protocol=SHORT, networks=["gcn(width=8)", "mlp(width=8)"], runs=1)
    assert report.details["iterate"] == "best_validation" and all(0 <= r.mean <= 100 for r in report.results)
    smaller = again.quantize("fp16")
    assert smaller.stored_bytes == again.stored_bytes - 2 * again.parts[0].stored["features"].numel()


def test_a_killed_run_that_goes_on_gives_the_same_bytes(tmp_path: Path) -> None:
    target, place = loaded(tmp_path), tmp_path / "checkpoint"
    whole = dd.distill(target, small(12), seed=1)

    class StoppedError(Exception):
        pass

    def stop(progress: dd.Progress) -> None:
        if progress.step == 7:
            raise StoppedError

    with pytest.raises(StoppedError):
        dd.distill(target, small(12), seed=1, checkpoint=place, checkpoint_seconds=0.0, callbacks=[stop])
    assert dd.distill(target, small(12), seed=1, checkpoint=place).sha256() == whole.sha256()


def test_a_step_is_that_of_its_equations(tmp_path: Path) -> None:
    """Class by class, graph by graph, on dense matrices: the loss and its gradient are the same."""
    target, seen = loaded(tmp_path), []
    network = GCN(width=8, depth=3, dropout=0.0).build((KINDS,), 2, seed=3, dtype=torch.float64).module

    def logits(weights: list[Tensor], features: Tensor, edges: Tensor) -> Tensor:
        looped = edges + torch.eye(len(edges), dtype=edges.dtype)
        root = looped.sum(dim=1).rsqrt()
        matrix, values = root[:, None] * looped * root, features
        for w, b in ((weights[0], weights[1]), (weights[2], weights[3])):
            values = (matrix @ values @ w.T + b).relu()
        return values.mean(dim=0) @ weights[4].T + weights[5]

    def gradient(c: int, graphs: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
        weights = [p.detach().clone().requires_grad_() for p in network.parameters()]
        losses = [F.cross_entropy(logits(weights, x, a)[None], torch.tensor([c])) for x, a in graphs]
        return list(torch.autograd.grad(torch.stack(losses).mean(), weights, create_graph=True))

    class Kept(GradientMatching):
        def terms(self, run, state):  # type: ignore[no-untyped-def]
            examples, real = run.examples, target.train.inputs
            parameters = [examples.features, examples.edges.logits]
            for c, term in enumerate(super().terms(run, state)):
                ours = torch.autograd.grad(term.loss, parameters, retain_graph=True)
                members = (target.train.targets == c).nonzero().flatten()
                graphs = [real[i[None]].alone() for i in members]  # type: ignore[attr-defined]
                wanted = gradient(c, [(g.features.double(), g.weights.to_dense().double()) for g in graphs])
                made = examples.edges(examples.features, run.generator("decode", c))
                features = examples.features.view(*made.shape[:2], -1)
                found = gradient(c, [(features[i], made[i]) for i in (2 * c, 2 * c + 1)])
                plain = sum((f - w.detach()).square().sum() for f, w in zip(found, wanted, strict=True))
                plain = plain / sum(w.detach().square().sum() for w in wanted)
                seen.append((float(term.loss.detach()), float(plain.detach())))
                for a, b in zip(ours, torch.autograd.grad(plain, parameters), strict=True):
                    assert torch.allclose(a, b, rtol=1e-9, atol=1e-14) and bool((b != 0).any())
                yield term

    method = replace(
        small(1),
        matching=Kept(distance="relative_mse", layers="parameters"),
        networks=FixedNetworks((network.eval(),)),
        precision="fp64",
    )
    dd.distill(target, method)
    assert len(seen) == 2 and all(abs(a - b) < 1e-9 * b for a, b in seen)


def test_chosen_graphs_are_real_ones(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    summary = dd.distill(target, dd.methods.build_method("random", ipc=3, target=target), seed=0)
    inputs, targets = summary.tensors()
    assert targets.tolist() == [0, 0, 0, 1, 1, 1]
    real: GraphSet = target.train.inputs  # type: ignore[assignment]

    def known(graphs: GraphSet, i: int) -> tuple[object, ...]:
        alone = graphs[torch.tensor([i])].alone()
        return (alone.features.tolist(), alone.edges()[0].tolist())

    everyone = {repr(known(real, i)): int(target.train.targets[i]) for i in range(len(real))}
    for i, class_id in enumerate(targets.tolist()):
        assert everyone[repr(known(inputs, i))] == class_id  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["herding", "k_center", "dm", "dc"])
def test_other_methods_take_sets_of_graphs(name: str, tmp_path: Path) -> None:
    target = loaded(tmp_path)
    method = dd.methods.build_method(name, ipc=2, preset="cpu", target=target)
    method = method if method.matching is None else method.with_steps(2)
    summary = dd.distill(target, method, seed=0)
    assert len(summary) == 4 and summary.spec == target.spec


def test_what_makes_no_graphs_says_so(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    with pytest.raises(InputDataError, match="no graphs of the data"):
        dd.distill(target, dd.methods.build_method("k_means", ipc=2, target=target))
    with pytest.raises(UnsupportedError, match="bernoulli_graphs"):
        dd.methods.build_method("idc", ipc=2, target=target)
    summary = dd.distill(target, small(1))
    with pytest.raises(UnsupportedError, match="not what made them"):
        dd.distill(target, small(1), start=summary)


def test_a_budget_in_bytes_is_kept(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    for name in ("doscond", "random"):
        method = dd.methods.build_method(name, target=target, budget=dd.Budget(bytes=2000), preset="cpu")
        method = method if method.matching is None else method.with_steps(1)
        assert 500 < dd.distill(target, method).stored_bytes <= 2000


def test_they_become_data_of_pytorch_geometric_and_come_back(tmp_path: Path) -> None:
    summary = dd.distill(loaded(tmp_path), small(), seed=0)
    datas = summary.to_pyg()
    assert len(datas) == 4 and datas[0].x.shape == (6, KINDS)
    back = dd.load_data(datas, test=0.0, validation=0.0).train.inputs
    inputs = summary.tensors()[0]
    assert torch.equal(back.alone().features, inputs.alone().features)  # type: ignore[attr-defined]
    assert back.alone().edges()[0].shape == inputs.alone().edges()[0].shape  # type: ignore[attr-defined]


def test_the_area_under_the_roc_curve_is_the_score_where_the_data_say_so(tmp_path: Path) -> None:
    target = loaded(tmp_path, score="roc_auc")
    summary = dd.distill(target, small(1), seed=0)
    assert dd.DataSummary.load(summary.save(tmp_path / "kept")).spec.task.score == "roc_auc"
    result = dd.evaluate(summary, target, protocol=SHORT, networks="gcn(width=8)", runs=1).results[0]
    assert result.score == "roc_auc" and set(result.scores) == {"roc_auc", "accuracy", "macro_f1"}


def test_a_set_of_noise_has_the_size_that_is_asked_for(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    method = dd.override(small(1), "factorization", BernoulliGraphs(ipc=1, init="noise", nodes=3))
    inputs = dd.distill(target, method).tensors()[0]
    assert inputs.sizes.tolist() == [3, 3]  # type: ignore[attr-defined]
    assert starts_of(inputs.sizes).tolist() == [0, 3, 6]  # type: ignore[attr-defined]
