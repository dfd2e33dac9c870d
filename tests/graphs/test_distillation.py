"""Graphs through the methods: condensed, kept, measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import ddcore as dd
from ddcore.errors import BudgetError, InputDataError, SettingsError, UnsupportedError
from ddcore.evaluation.evaluate import train_one
from ddcore.evaluation.source import TrainingSource
from ddcore.graphs import GCN, SGC, GraphBernoulli, GraphFeatures, GraphNodes, GraphSimilarity, Nodes
from ddcore.graphs.factorizations import PairwiseSimilarity
from ddcore.ground.optimiser import Optimiser
from ddcore.matching import GradientMatching
from ddcore.parts import Factorization, Method, Network, tensors_of
from ddcore.sources import ExpertSegments, ExpertTraining, FixedNetworks
from ddcore.training import PROTOCOLS
from tests.graphs.data import CLASSES, WIDTH, arrays, loaded, written

CONDENSING = ("gcond", "doscond", "gcdm", "sfgc")


SHORT = PROTOCOLS["gcond"].with_epochs(30)


def small(name: str, steps: int = 6) -> Method:
    method = dd.methods.build_method(name, ipc=2, preset="cpu").with_steps(steps)
    if name == "gcond":
        method = dd.override(dd.override(method, "networks.inner", 2), "networks.outer", 3)
    if name == "sfgc":
        experts = ExpertSegments(GCN(width=8, dropout=0.0), length=2, last_start=2, count=2, training=ExpertTraining(3))
        method = dd.override(dd.override(method, "matching.inner_steps", 3), "factorization.init", "random")
        return replace(method, networks=experts)
    return dd.override(method, "factorization.width", 8) if name == "gcond" else method


@pytest.mark.parametrize("name", CONDENSING)
def test_a_condensed_graph_is_kept_loaded_and_trained_on(name: str, tmp_path: Path) -> None:
    target = loaded(tmp_path)
    summary = dd.distill(target, small(name), seed=0)
    inputs, targets = summary.tensors()
    assert inputs.shape == (6, WIDTH) and targets.tolist() == [0, 0, 1, 1, 2, 2]
    again = dd.DataSummary.load(summary.save(tmp_path / "kept"))
    for a, b in zip(tensors_of(inputs), tensors_of(again.tensors()[0]), strict=True):
        assert torch.equal(a, b)
    step_size = 4 if name == "sfgc" else 0
    tensors = sum(t.numel() * t.element_size() for t in again.parts[0].stored.values())
    assert again.stored_bytes == summary.stored_bytes == tensors + step_size
    report = dd.evaluate(again, target, protocol=SHORT, networks=["gcn(width=16)", "mlp(width=8)"], runs=1)
    assert report.details["iterate"] == "best_validation" and all(0 <= r.mean <= 100 for r in report.results)


@pytest.mark.parametrize("name", CONDENSING)
def test_a_killed_run_that_goes_on_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    target, place = loaded(tmp_path), tmp_path / "checkpoint"
    whole = dd.distill(target, small(name, 25), seed=1)

    class StoppedError(Exception):
        pass

    def stop(progress: dd.Progress) -> None:
        if progress.step == 21:
            raise StoppedError

    with pytest.raises(StoppedError):
        dd.distill(target, small(name, 25), seed=1, checkpoint=place, checkpoint_seconds=0.0, callbacks=[stop])
    assert dd.distill(target, small(name, 25), seed=1, checkpoint=place).sha256() == whole.sha256()


def test_condensing_separates_the_blocks(tmp_path: Path) -> None:
    """Twelve nodes of a graph that is easy: far above the third that chance gets."""
    target = loaded(tmp_path)
    method = dd.override(small("gcond", 60), "optimiser.group_learning_rates", {"features": 0.01, "edges": 0.01})
    protocol = PROTOCOLS["gcond"].with_epochs(150)
    report = dd.evaluate(
        dd.distill(target, method, seed=0), target, protocol=protocol, networks="gcn(width=16)", runs=2
    )
    assert report.results[0].mean > 80


def plain_losses(
    target: dd.TargetData, weight: torch.Tensor, bias: torch.Tensor, examples: torch.nn.Module
) -> torch.Tensor:
    """Return GCond's loss class by class, each with its own graph, written from its equations."""

    def normalised(weights: torch.Tensor) -> torch.Tensor:
        looped = weights + torch.eye(len(weights), dtype=weights.dtype)
        root = looped.sum(dim=1).rsqrt()
        return root[:, None] * looped * root

    nodes: Nodes = target.train.inputs  # type: ignore[assignment]
    assert nodes.graph.weights is not None
    features, matrix = nodes.graph.features.double(), normalised(nodes.graph.weights.to_dense().double())
    total = torch.zeros((), dtype=torch.float64)
    owners = examples.owners
    for c in range(CLASSES):
        gradients = []
        made = normalised(examples.edges(examples.features))
        for x, a, chosen in (
            (features, matrix, nodes.chosen[target.train.targets == c]),
            (examples.features, made, (owners == c).nonzero().flatten()),
        ):
            w = weight.clone().requires_grad_()
            logits = (a @ (a @ x) @ w.T + bias)[chosen]
            loss = F.cross_entropy(logits, torch.full((len(chosen),), c))
            gradients.append(torch.autograd.grad(loss, w, create_graph=True)[0])
        real, synthetic = gradients[0].detach(), gradients[1]
        products = (real * synthetic).sum(dim=1) / (real.norm(dim=1) * synthetic.norm(dim=1) + 1e-6)
        total = total + (1 - products).sum() * int((owners == c).sum()) / int(owners.bincount().max())
    return total


def test_a_step_of_gcond_is_that_of_its_equations(tmp_path: Path) -> None:
    """One graph for all classes, products shared: the loss and its gradient are the plain ones."""
    target, seen = loaded(tmp_path), []
    network = SGC().build((WIDTH,), CLASSES, seed=3, dtype=torch.float64).module

    class Kept(GradientMatching):
        def terms(self, run, state):  # type: ignore[no-untyped-def]
            (term,) = super().terms(run, state)
            parameters = list(run.examples.parameters())
            ours = torch.autograd.grad(term.loss, parameters, retain_graph=True)
            plain = plain_losses(target, network.head.weight, network.head.bias, run.examples)  # type: ignore[union-attr, arg-type]
            seen.append((term.loss.detach(), plain.detach(), ours, torch.autograd.grad(plain, parameters)))
            yield term

    method = dd.override(small("gcond", 1), "factorization.ipc", {0: 2, 1: 3, 2: 1})
    method = replace(
        method, matching=Kept(class_weights="size"), networks=FixedNetworks((network.eval(),)), precision="fp64"
    )
    dd.distill(target, method)
    ((loss, plain, ours, theirs),) = seen
    assert abs(float(loss - plain)) < 1e-9 and float(loss) > 0.1
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-9) and bool((b != 0).any())


def test_the_similarity_is_a_perceptron_on_all_pairs() -> None:
    """The cheap form against the plain one: every pair, concatenated, through the layers."""
    made, x = (
        PairwiseSimilarity(5, 7, 3, torch.Generator().manual_seed(0)).double(),
        torch.randn(4, 5, dtype=torch.float64),
    )
    pairs = torch.cat([x.repeat_interleave(4, dim=0), x.repeat(4, 1)], dim=1)
    values = made.first(pairs)
    for layer, scale, shift in zip(made.layers, made.scales, made.shifts, strict=True):
        spread = values.var(dim=0, correction=0)
        values = layer((((values - values.mean(dim=0)) / (spread + 1e-5).sqrt()) * scale + shift).relu())
    logits = values.view(4, 4)
    expected = torch.sigmoid((logits + logits.T) / 2).fill_diagonal_(0.0)
    assert torch.allclose(made(x), expected, atol=1e-10)


def test_groups_take_turns(tmp_path: Path) -> None:
    """On one network edges move alone, on the next two features do."""
    target, before = loaded(tmp_path), {}
    method = small("doscond", 6)
    method = replace(method, optimiser=replace(method.optimiser, turns=(("edges", 1), ("features", 2))))
    moved = []

    def watch(progress: dd.Progress) -> None:
        stored = progress.snapshot().parts[0].stored
        moved.append("features" if before and not torch.equal(stored["features"], before["features"]) else "edges")
        before.update(stored)

    dd.distill(target, method, seed=0, callbacks=[watch])
    assert moved[1:] == ["features", "features", "edges", "features", "features"]


def test_coresets_keep_the_edges_among_chosen_nodes(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    for name in ("random", "herding", "k_center", "forgetting"):
        method = dd.methods.build_method(name, ipc=4, preset="cpu", target=target)
        assert isinstance(method.factorization, GraphNodes)
        inputs = dd.distill(target, method, seed=0).tensors()[0]
        assert isinstance(inputs, Nodes) and inputs.graph.weights is not None
        whole: Nodes = target.train.inputs  # type: ignore[assignment]
        rows = [int((whole.graph.features == x).all(dim=1).nonzero()) for x in inputs.graph.features]
        assert whole.graph.weights is not None
        assert torch.equal(inputs.graph.weights, whole.graph.weights.to_dense()[rows][:, rows])
        assert [int(target.train.targets[r]) for r in rows] == sorted([0, 1, 2] * 4)


def test_centres_are_nobodys_nodes_and_have_no_edges(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    summary = dd.distill(target, dd.methods.build_method("k_means", ipc=2, preset="cpu", target=target), seed=0)
    assert summary.counts == {0: 2, 1: 2, 2: 2} and summary.parts[0].stored["edges"].numel() == 0


@pytest.mark.parametrize("name", ["dc", "dm", "dd", "kip", "frepo", "mtt"])
def test_every_family_makes_nodes_without_edges(name: str, tmp_path: Path) -> None:
    target = loaded(tmp_path)
    method = dd.methods.build_method(name, ipc=1, preset="cpu", target=target).with_steps(2)
    if name == "mtt":
        method = dd.override(dd.override(method, "networks.count", 1), "networks.training.epochs", 8)
        method = method.on_networks("gcn(width=8, dropout=0)")  # experts are weights alone
    summary = dd.distill(target, method, seed=0)
    assert summary.parts[0].factorization.name == "graph_features"
    assert summary.tensors()[0].shape == (3, WIDTH)


def test_held_out_nodes_are_unseen_in_the_inductive_setting(tmp_path: Path) -> None:
    target = loaded(tmp_path, setting="inductive")
    train: Nodes = target.train.inputs  # type: ignore[assignment]
    assert target.test is not None
    test: Nodes = target.test.inputs  # type: ignore[assignment]
    assert len(train.graph.features) == 30 and len(test.graph.features) == 60
    assert train.graph.weights is not None and test.graph.weights is not None
    assert torch.equal(train.graph.weights.to_dense(), test.graph.weights.to_dense()[:30, :30])
    report = dd.evaluate(dd.distill(target, small("gcond")), target, protocol=SHORT, networks="gcn(width=8)", runs=1)
    assert report.details["tested_on"]["examples"] == 18


def test_the_best_weights_on_validation_are_kept(tmp_path: Path) -> None:
    """Not the last ones, and of equal ones the first."""
    target, shown, weights = loaded(tmp_path), iter([1.0, 3.0, 2.0, 3.0, 0.0]), []

    def validate(network: Network) -> float:
        assert not network.training
        weights.append({name: tensor.clone() for name, tensor in network.module.state_dict().items()})
        return next(shown)

    training = replace(PROTOCOLS["gcond"].training, epochs=5)
    source = TrainingSource.of(target, torch.device("cpu"), torch.float32)
    network = train_one(GCN(width=8), source, training, target.spec, seed=0, run=0, validate=validate)
    for name, tensor in network.module.state_dict().items():
        assert torch.equal(tensor, weights[1][name]) and not torch.equal(tensor, weights[3][name])
    with pytest.raises(SettingsError, match="give validate="):
        train_one(GCN(width=8), source, training, target.spec, seed=0, run=0)


def test_the_protocol_needs_validation_nodes(tmp_path: Path) -> None:
    target = replace(loaded(tmp_path), validation=None)
    with pytest.raises(InputDataError, match="no validation split"):
        dd.evaluate(target, target, protocol=SHORT, networks="gcn(width=8)", runs=1)


def test_a_ratio_is_of_all_nodes(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    assert dd.graphs.ipc_for_ratio(target, 0.1) == {0: 2, 1: 2, 2: 2}
    assert dd.graphs.ipc_for_ratio(target, 8.5 / 60) == {0: 2, 1: 2, 2: 4}
    for ratio in (0.02, 0.6, -1.0, float("nan"), 29 / 60):
        with pytest.raises(BudgetError, match="a ratio of"):
            dd.graphs.ipc_for_ratio(target, ratio)
    with pytest.raises(InputDataError, match="must be nodes of a graph"):
        dd.graphs.ipc_for_ratio(dd.load_data("digits"), 0.1)


def test_budgets_count_nodes_and_edges(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    method = dd.methods.build_method("gcond", preset="cpu", target=target, budget=dd.Budget(1000)).with_steps(0)
    assert method.factorization.ipc == 3  # type: ignore[attr-defined]
    summary = dd.distill(target, method)
    assert (
        summary.stored_bytes
        <= GraphSimilarity(ipc=3).max_bytes(target.spec, target.counts())
        == 9 * 12 * 4 + 9 + 36 * 8
    )


def test_a_summary_becomes_a_graph_of_pytorch_geometric_and_back(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    summary = dd.distill(target, small("gcond"))
    data = summary.to_pyg()
    inputs, targets = summary.tensors()
    assert torch.equal(data.x, inputs.flatten(1)) and torch.equal(data.y, targets)
    dense = torch.zeros(6, 6)
    dense[data.edge_index[1], data.edge_index[0]] = data.edge_weight
    assert torch.equal(dense, inputs.graph.weights)  # type: ignore[attr-defined]
    data.train_mask = torch.ones(6, dtype=torch.bool)
    back = dd.load_data(data, row_normalise=False, like=target.spec)
    graph: Nodes = back.train.inputs  # type: ignore[assignment]
    assert graph.graph.weights is not None and torch.equal(graph.graph.weights.to_dense(), dense)


def test_unions_are_disjoint_graphs(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    parts = [dd.distill(target, small("gcond"), seed=seed) for seed in (0, 1)]
    inputs = dd.concat(parts).tensors()[0]
    assert isinstance(inputs, Nodes) and inputs.graph.weights is not None and len(inputs) == 12
    first = parts[0].tensors()[0]
    assert torch.equal(inputs.graph.weights[:6, :6], first.graph.weights)  # type: ignore[attr-defined]
    assert not bool(inputs.graph.weights[:6, 6:].any())
    assert torch.equal(inputs.flatten(1), torch.cat([part.tensors()[0].flatten(1) for part in parts]))
    dd.evaluate(dd.concat(parts), target, protocol=SHORT, networks="gcn(width=8)", runs=1)


def test_every_precision_keeps_the_graph_whole(tmp_path: Path) -> None:
    """Chosen nodes are of one graph in any precision; sparse products have a way in bfloat16."""
    target, linked = loaded(tmp_path), []
    for precision in ("fp32", "fp64", "bf16"):
        summary = dd.distill(
            target, dd.methods.build_method("random", ipc=5, target=target), seed=0, precision=precision
        )
        linked.append(summary.parts[0].stored["edges"])
    assert len(linked[0]) > 5 and torch.equal(linked[0], linked[1]) and torch.equal(linked[0], linked[2])
    summary = dd.distill(target, small("doscond"), seed=0, precision="bf16")
    dd.evaluate(summary, target, protocol=SHORT, networks="gcn(width=8)", runs=1, precision="bf16")


def test_a_micro_batch_does_not_cut_a_graph(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    whole, cut = (dd.distill(target, small("gcdm"), seed=0, micro_batch=size) for size in (None, 1))
    assert whole.sha256() == cut.sha256()
    with pytest.raises(UnsupportedError, match="all classes at once"):
        dd.distill(target, dd.override(small("gcond"), "matching.updates_per_gradient", 2))


def test_a_run_does_not_go_on_from_edges_without_their_perceptron(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    method = replace(small("gcdm"), optimiser=dd.Optimiser("adam", 0.01))
    with pytest.raises(UnsupportedError, match="not what made them"):
        dd.distill(target, method, start=dd.distill(target, method, seed=0))


def test_light_edges_are_kept_and_what_does_not_fit_is_said(tmp_path: Path) -> None:
    light = np.full(len(arrays()["edges"]), 0.005)
    target = dd.load_data(written(tmp_path / "light.npz", edge_weights=light))
    method = dd.methods.build_method("random", ipc=5, target=target)
    assert len(dd.distill(target, method).parts[0].stored["edges"]) > 5
    large = dd.load_data(written(tmp_path / "large.npz", x=arrays()["x"] * 1e6), row_normalise=False)
    with pytest.raises(SettingsError, match="store float32"):
        dd.distill(large, method).quantize("fp16")
    with pytest.raises(SettingsError, match="take fewer nodes"):
        dd.distill(
            target, dd.override(dd.override(small("gcond"), "factorization.width", 400_000), "factorization.ipc", 10)
        )


def test_nodes_are_no_rows_of_a_dataset_and_no_private_records(tmp_path: Path) -> None:
    from ddapps import privacy

    target = loaded(tmp_path)
    with pytest.raises(UnsupportedError, match="no rows of a Dataset"):
        dd.distill(target, small("gcond", 0)).as_dataset()
    with pytest.raises(UnsupportedError, match="connected"):
        privacy.privatize(small("gcdm"), epsilon=1.0, delta=1e-3).distill(target, ledger=privacy.NO_LEDGER)
    with pytest.raises(UnsupportedError, match="split by content"):
        target.with_train(torch.arange(30), "all").__class__(target.name, target.spec, target.train).with_validation(
            0.5, by="content"
        )


def test_features_without_edges_may_start_with_what_neighbours_say(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    nodes: Nodes = target.train.inputs  # type: ignore[assignment]
    method = Method(name="x", factorization=GraphFeatures(ipc=2, hops=2))
    found = dd.distill(target, method, seed=0).tensors()[0]
    matrix = nodes.graph.matrix("gcn").to_dense()
    sent = (matrix @ matrix @ nodes.graph.features)[nodes.chosen]
    distances = (found[:, None] - sent[None]).abs().amax(dim=2).amin(dim=1)
    assert distances.max().item() < 1e-6 and len(found) == 6


def test_experts_on_graphs_are_trained_one_after_the_other(tmp_path: Path) -> None:
    """Two passes between kept weights are the second kept weights of one pass each."""
    target, network = loaded(tmp_path), GCN(width=4, dropout=0.0)
    with pytest.raises(UnsupportedError, match="leave together out"):
        dd.train_experts(target, tmp_path / "a", network=network, training=ExpertTraining(1), count=2, together=2)
    once = dd.train_experts(target, tmp_path / "b", network=network, training=ExpertTraining(2), count=1)
    twice = dd.train_experts(target, tmp_path / "c", network=network, training=ExpertTraining(1, passes=2), count=1)
    first, second = (buffer.rows(0, 0, buffer.epochs) for buffer in (once, twice))
    assert torch.equal(first[0], second[0]) and torch.allclose(first[1], second[1], atol=1e-6)


FACTORIZATIONS = (GraphFeatures(ipc=2), GraphSimilarity(ipc=2, width=8), GraphBernoulli(ipc=2))


@pytest.mark.parametrize("factorization", FACTORIZATIONS, ids=lambda f: f.name)
@pytest.mark.parametrize("name", ["dc", "dm", "kip", "frepo", "dd", "mtt", "tesla"])
def test_every_family_goes_with_every_factorization(name: str, factorization: Factorization, tmp_path: Path) -> None:
    target, network = loaded(tmp_path), GCN(width=4, dropout=0.0)
    method = dd.methods.build_method(name, ipc=2, preset="cpu", target=target).with_steps(2)
    if name in ("mtt", "tesla"):
        experts = ExpertSegments(network, length=1, last_start=1, count=1, training=ExpertTraining(2))
        method = replace(method, networks=experts)
    elif name != "kip":
        method = dd.override(method, "networks.architecture", network)
    rates = factorization.learning_rates()
    found = []
    for steps in (0, 2):
        optimiser = Optimiser("adam", group_learning_rates=rates)
        started = replace(method, factorization=factorization, optimiser=optimiser).with_steps(steps)
        found.append(dd.distill(target, started, seed=0).parts[0].stored)
    assert not torch.equal(found[0]["features"], found[1]["features"])
    if factorization.name == "graph_similarity" and name != "kip":
        assert not torch.equal(found[0]["weights"], found[1]["weights"])


def test_alignment_of_layers_says_that_graphs_have_no_rows(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    method = dd.methods.build_method("cafe", ipc=2, preset="cpu", target=target)
    with pytest.raises(UnsupportedError, match="one per node"):
        dd.distill(target, replace(method, factorization=GraphSimilarity(ipc=2), optimiser=Optimiser("adam")))
