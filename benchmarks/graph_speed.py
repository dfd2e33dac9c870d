"""A step of GCond against a plain one, and how steps and memory grow with the graph.

python -m benchmarks.graph_speed --data path/to/cora.npz
python -m benchmarks.graph_speed --nodes 10000,40000,170000

The plain step goes through the graph class by class, as the paper's equations are written. The
table says how far the gradients of both lie apart, relative to the largest entry, in float64.
Graphs of other sizes are stochastic block models with 128 features, 40 classes and seven edges per
node, about what ogbn-arxiv has. Each is condensed in a process of its own, to 120 nodes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import ddcore as dd
from benchmarks.common import markdown, write_results
from ddcore.graphs import SGC, Nodes, ipc_for_ratio
from ddcore.graphs.edges import PairwiseSimilarity
from ddcore.matching import GradientMatching
from ddcore.sources import FixedNetworks

WIDTH, CLASSES, DEGREE = 128, 40, 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="an .npz with a graph: compare steps on it")
    parser.add_argument("--ratio", type=float, default=0.026)
    parser.add_argument("--nodes", help="sizes of graphs to make")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(scaled(options.one, options.steps)))
        return
    budget = {"steps": options.steps, "threads": torch.get_num_threads()}
    if options.data:
        rows = compared(options.data, options.ratio, options.steps)
        write_results("graph_step", rows, budget | {"ratio": options.ratio}, markdown(rows))
    if options.nodes:
        rows = [in_a_process(int(n), options.steps) for n in options.nodes.split(",")]
        write_results("graph_scale", rows, budget, markdown(rows))


def compared(data: str, ratio: float, steps: int) -> list[dict[str, Any]]:
    """Return seconds per step of both, and the distance of their gradients in float64."""
    target = dd.load_data(data)
    ipc = ipc_for_ratio(target, ratio)
    method = dd.methods.build_method("gcond", ipc=ipc, preset="paper", target=target)
    network = SGC().build(target.spec.shape, target.spec.num_classes, seed=0, dtype=torch.float64).module.eval()
    seen: list[tuple[Tensor, ...]] = []

    class Kept(GradientMatching):
        def terms(self, run, state):  # type: ignore[no-untyped-def]
            (term,) = super().terms(run, state)
            parameters = list(run.examples.parameters())
            head: Any = network.head
            plain = plain_loss(
                target, head.weight, head.bias, run.examples.features, run.examples.edges, run.examples.owners
            )
            seen.append(torch.autograd.grad(term.loss, parameters, retain_graph=True))
            seen.append(torch.autograd.grad(plain, parameters, retain_graph=True))
            yield term

    once = replace(method, matching=Kept(class_weights="size"), networks=FixedNetworks((network,)), precision="fp64")
    dd.distill(target, once.with_steps(1))
    ours, theirs = (torch.cat([g.flatten() for g in gradients]) for gradients in seen)
    apart = float((ours - theirs).abs().max() / theirs.abs().max())
    fresh = replace(method, networks=dd.sources.FreshNetworks(SGC()))
    dd.distill(target, fresh.with_steps(3))  # what is made once
    seconds = {}
    runs: dict[str, Callable[[], object]] = {
        "ddcore": lambda: dd.distill(target, fresh.with_steps(steps)),
        "plain": lambda: plain_run(target, sum(ipc.values()), steps),
    }
    for name, run in runs.items():
        started = time.perf_counter()
        run()
        seconds[name] = (time.perf_counter() - started) / steps
    rows: list[dict[str, Any]] = [
        {"step": name, "ms": round(1000 * s, 1), "times faster": round(seconds["plain"] / s, 2), "gradients apart": ""}
        for name, s in seconds.items()
    ]
    rows[0]["gradients apart"] = f"{apart:.1e}"
    return rows


def plain_run(target: dd.TargetData, count: int, steps: int) -> None:
    """Take steps of the paper's equations, with Adam on features or edges."""
    nodes: Nodes = target.train.inputs  # type: ignore[assignment]
    owners = target.train.targets[:count].sort().values
    features = nodes.graph.features[nodes.chosen[:count]].clone().requires_grad_()
    edges = PairwiseSimilarity(features.shape[1], 128, 3, torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam([features, *edges.parameters()], lr=1e-4)
    for step in range(steps):
        network = SGC().build(target.spec.shape, target.spec.num_classes, seed=step).module
        optimiser.zero_grad()
        head: Any = network.head
        plain_loss(target, head.weight, head.bias, features, edges, owners).backward()
        optimiser.step()


def plain_loss(
    target: dd.TargetData, weight: Tensor, bias: Tensor, features: Tensor, edges: torch.nn.Module, owners: Tensor
) -> Tensor:
    """Return GCond's loss, class by class: each goes through both graphs as a whole."""
    nodes: Nodes = target.train.inputs  # type: ignore[assignment]
    graph = nodes.graph.to(None, features.dtype)
    total = torch.zeros((), dtype=features.dtype)
    counts = owners.bincount(minlength=target.spec.num_classes)
    for c in target.spec.classes:
        gradients = []
        made = edges(features) + torch.eye(len(features), dtype=features.dtype)
        root = made.sum(dim=1).rsqrt()
        synthetic = root[:, None] * made * root
        for x, a, chosen in (
            (graph.features, graph.matrix("gcn"), nodes.chosen[target.train.targets == c]),
            (features, synthetic, (owners == c).nonzero().flatten()),
        ):
            w = weight.detach().clone().requires_grad_()
            logits = (a @ (a @ x) @ w.T + bias.detach())[chosen]
            loss = F.cross_entropy(logits, torch.full((len(chosen),), c))
            gradients.append(torch.autograd.grad(loss, w, create_graph=True)[0])
        real, found = gradients[0].detach(), gradients[1]
        similarity = (real * found).sum(dim=1) / (real.norm(dim=1) * found.norm(dim=1) + 1e-6)
        total = total + (1 - similarity).sum() * int(counts[c]) / int(counts.max())
    return total


def in_a_process(nodes: int, steps: int) -> dict[str, Any]:
    words = [sys.executable, "-m", "benchmarks.graph_speed", "--one", str(nodes), "--steps", str(steps)]
    found: dict[str, Any] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return found


def scaled(nodes: int, steps: int) -> dict[str, Any]:
    """Condense a block model, and return seconds and the process's largest memory."""
    started = time.perf_counter()
    target = block_model(nodes)
    loaded = time.perf_counter() - started
    ipc = ipc_for_ratio(target, 120 / nodes)
    method = dd.methods.build_method("gcond", ipc=ipc, preset="paper", target=target)
    taken = []
    for count in (1, 1, steps + 1):  # products of the whole graph are made in the first
        started = time.perf_counter()
        dd.distill(target, method.with_steps(count))
        taken.append(time.perf_counter() - started)
    first, warm, more = taken
    graph = target.train.inputs.graph  # type: ignore[attr-defined]
    return {
        "nodes": nodes,
        "edges": graph.weights.values().numel() // 2,
        "load s": round(loaded, 1),
        "first step s": round(first, 2),
        "step ms": round(1000 * (more - warm) / steps, 1),
        "memory GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def block_model(nodes: int) -> dd.TargetData:
    """Return a graph in which three quarters of the edges stay inside a class."""
    from torch_geometric.data import Data

    random = torch.Generator().manual_seed(0)
    classes = torch.arange(nodes) % CLASSES
    first = torch.randint(nodes, (DEGREE * nodes,), generator=random)
    inside = torch.rand(len(first), generator=random) < 0.75
    block = torch.randint(nodes // CLASSES, (len(first),), generator=random)
    second = torch.where(
        inside, block * CLASSES + classes[first], torch.randint(nodes, (len(first),), generator=random)
    )
    centres = torch.randn(CLASSES, WIDTH, generator=random)
    features = centres[classes] + 2 * torch.randn(nodes, WIDTH, generator=random)
    place = torch.rand(nodes, generator=random)
    masks = {"train_mask": place < 0.54, "val_mask": (place >= 0.54) & (place < 0.72), "test_mask": place >= 0.72}
    return dd.load_data(Data(features, torch.stack([first, second]), y=classes, **masks), row_normalise=False)


if __name__ == "__main__":
    main()
