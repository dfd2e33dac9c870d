"""Condensed sets of graphs: scores of a GCN on real graphs, by number per class and method.

python -m benchmarks.graph_sets --data path/to/MUTAG.npz

Every split of the data has a condensation of its own. Networks are trained on each. The whole
training split is measured beside them. Rows of an earlier call at the same settings are kept;
``--earlier drop`` measures anew where results are recorded already.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import markdown
from benchmarks.merging import MergedRows, merge_argument
from ddcore.evaluation import mean_std_ci95

METHODS = ("random", "herding", "k_center", "doscond")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="an .npz with graphs")
    parser.add_argument("--ipc", default="1,10", help="graphs per class")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--splits", type=int, default=5, help="of the data, 80/10/10")
    parser.add_argument("--runs", type=int, default=3, help="networks trained on each")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--split", default="test", help="validation: to choose settings")
    merge_argument(parser)
    options = parser.parse_args()
    targets = [dd.load_data(options.data, seed=seed) for seed in range(options.splits)]
    budget = {
        "preset": options.preset,
        "splits": options.splits,
        "networks": options.runs,
        "protocol": "doscond",
        "threads": torch.get_num_threads(),
    }
    name = Path(options.data).stem.lower()
    title = f"graph_sets_{name}" if options.split == "test" else f"graph_sets_{name}_{options.split}"
    rows = MergedRows(title, budget, ("method", "per class"), options.earlier)
    for ipc in map(int, options.ipc.split(",")):
        for key in options.methods.split(","):
            rows.write([measured(targets, key, ipc, options)], order, markdown)
    rows.write([measured(targets, "all graphs", 0, options)], order, markdown)


def measured(targets: list[dd.TargetData], key: str, ipc: int, options: argparse.Namespace) -> dict[str, Any]:
    scores, seconds, size = [], 0.0, 0
    for seed, target in enumerate(targets):
        data: dd.TargetData | dd.DataSummary = target
        if ipc:
            started = time.monotonic()
            method = dd.methods.build_method(key, ipc=ipc, preset=options.preset, target=target)
            data = dd.distill(target, method, seed=seed)
            seconds += time.monotonic() - started
            size += data.stored_bytes
        result = dd.evaluate(
            data, target, protocol="doscond", runs=options.runs, seed=seed, split=options.split
        ).results[0]
        scores.append(sum(result.accuracies) / options.runs)
    mean, _, ci95 = mean_std_ci95(scores)
    return {
        "method": key,
        "per class": ipc or "all",
        "bytes": round(size / len(targets)) or "",
        "condense s": round(seconds / len(targets)),
        f"{targets[0].spec.task.score} %": f"{mean:.2f} ± {ci95:.2f}",
        "splits": [round(s, 2) for s in scores],
    }


def order(found: dict[str, Any]) -> tuple[float, int]:
    names = (*METHODS, found["method"])
    return (float("inf") if found["per class"] == "all" else found["per class"]), names.index(found["method"])


if __name__ == "__main__":
    main()
