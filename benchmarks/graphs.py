"""Graph condensation: accuracy of a GCN on real nodes, by ratio and method.

python -m benchmarks.graphs --data path/to/cora.npz

Every condensation has a seed of its own; networks are trained on each. The whole graph is measured
beside them. Rows of an earlier call at the same settings are kept, so methods can be measured one
after the other. ``--earlier drop`` measures anew where results are recorded already.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import markdown, write_results
from benchmarks.merging import MergedRows, merge_argument
from ddcore.evaluation import mean_std_ci95
from ddcore.ground.optimiser import Optimiser

WITHOUT_EDGES = "gcond without edges"
"""Gradient matching of GCond on features that start sent along two edges; 500 steps."""
METHODS = ("random", "herding", "k_center", "gcond", "doscond", "gcdm", "sfgc", WITHOUT_EDGES)
PUBLISHED = {
    ("random", 0.013): 63.6,
    ("random", 0.026): 72.8,
    ("random", 0.052): 76.8,
    ("herding", 0.013): 67.0,
    ("herding", 0.026): 73.4,
    ("herding", 0.052): 76.8,
    ("k_center", 0.013): 64.0,
    ("k_center", 0.026): 73.2,
    ("k_center", 0.052): 76.7,
    ("gcond", 0.013): 79.8,
    ("gcond", 0.026): 80.1,
    ("gcond", 0.052): 79.3,
}
"""Test accuracy on Cora, transductive (Jin et al. 2022, arXiv:2110.07580)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="an .npz with a graph")
    parser.add_argument("--ratios", default="0.013,0.026,0.052", help="synthetic nodes as shares of all nodes")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seeds", type=int, default=5, help="condensations")
    parser.add_argument("--runs", type=int, default=3, help="networks trained on each")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--steps", type=int, help="instead of the preset's")
    parser.add_argument("--split", default="test", help="validation: to choose settings")
    parser.add_argument("--setting", default="transductive", help="inductive: held-out nodes are unseen meanwhile")
    parser.add_argument("--transfer", help="architectures that are trained instead: a table of them, of gcond alone")
    merge_argument(parser)
    options = parser.parse_args()
    target = dd.load_data(options.data, setting=options.setting)
    name = Path(options.data).stem
    budget = {
        "preset": options.preset,
        "steps": options.steps,
        "condensations": options.seeds,
        "networks": options.runs,
        "protocol": "gcond",
        "threads": torch.get_num_threads(),
    }
    title = f"graphs_{name}" if options.split == "test" else f"graphs_{name}_{options.split}"
    title += "" if options.setting == "transductive" else f"_{options.setting}"
    if options.transfer:
        rows = transferred(target, options)
        write_results(f"{title}_transfer", rows, budget | {"ratio": options.ratios}, markdown(rows))
        return
    rows = MergedRows(title, budget, ("method", "ratio"), options.earlier)
    whole = dd.evaluate(target, target, protocol="gcond", runs=options.runs, split=options.split)
    rows.write([row("whole graph", 1.0, list(whole.results[0].accuracies), 0.0, 0, title)], order, markdown)
    for ratio in map(float, options.ratios.split(",")):
        for key in options.methods.split(","):
            rows.write([measured(target, key, ratio, title, options)], order, markdown)


def measured(target: dd.TargetData, key: str, ratio: float, title: str, options: argparse.Namespace) -> dict[str, Any]:
    ipc = dd.graphs.ipc_for_ratio(target, ratio)
    method = built(key, ipc, options.preset, target)
    method = method if method.matching is None else method.with_steps(options.steps)
    accuracies, seconds = [], 0.0
    for seed in range(options.seeds):
        started = time.monotonic()
        summary = dd.distill(target, method, seed=seed)
        seconds += time.monotonic() - started
        report = dd.evaluate(summary, target, protocol="gcond", runs=options.runs, seed=seed, split=options.split)
        accuracies.extend(report.results[0].accuracies)
    return row(key, ratio, accuracies, seconds / options.seeds, summary.stored_bytes, title)


def transferred(target: dd.TargetData, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row per architecture, trained on what GCond condensed at one ratio."""
    ipc = dd.graphs.ipc_for_ratio(target, float(options.ratios))
    method = dd.methods.build_method("gcond", ipc=ipc, preset=options.preset, target=target).with_steps(options.steps)
    found: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        summary = dd.distill(target, method, seed=seed)
        networks = options.transfer.split(",")
        report = dd.evaluate(summary, target, networks=networks, protocol="gcond", runs=options.runs, seed=seed)
        for result in report.results:
            found.setdefault(result.network, []).extend(result.accuracies)
    rows = []
    for network, accuracies in found.items():
        mean, _, ci95 = mean_std_ci95(accuracies)
        rows.append({"network": network, "accuracy %": f"{mean:.2f} ± {ci95:.2f}", "accuracies": accuracies})
    return rows


def built(key: str, ipc: dict[int, int], preset: str, target: dd.TargetData) -> dd.Method:
    if key != WITHOUT_EDGES:
        return dd.methods.build_method(key, ipc=ipc, preset=preset, target=target)
    method = dd.methods.build_method("gcond", ipc=ipc, preset=preset, target=target)
    features = dd.graphs.GraphFeatures(ipc=ipc, init="herding", hops=2)
    return replace(
        method, factorization=features, optimiser=Optimiser("adam", learning_rate=1e-4), steps=500, preset="custom"
    )


def row(key: str, ratio: float, accuracies: list[float], seconds: float, size: int, title: str) -> dict[str, Any]:
    mean, _, ci95 = mean_std_ci95(accuracies)
    return {
        "method": key,
        "ratio": ratio,
        "bytes": size or "",
        "condense s": round(seconds),
        "accuracy %": f"{mean:.2f} ± {ci95:.2f}",
        **({"published": PUBLISHED.get((key, ratio), "")} if title == "graphs_cora" else {}),
        "accuracies": [round(a, 2) for a in accuracies],
    }


def order(found: dict[str, Any]) -> tuple[float, int]:
    names = (*METHODS, found["method"])
    return found["ratio"], names.index(found["method"])


if __name__ == "__main__":
    main()
