"""Digits: private methods and baselines at one budget, beside the same methods without privacy.

python -m benchmarks.privacy

Every run is distilled, trained and tested anew. Rows of an earlier call at the same settings are
kept. Another number of runs than five has a file of its own.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import markdown
from benchmarks.merging import MergedRows, merge_argument
from ddapps import privacy
from ddcore.evaluation import mean_std_ci95

METHODS = ("psg", "dm", "public_subspace", "mean_features", "dp_sgd", "noise")
PLAIN = ("psg", "dm")
KEY = ("method", "epsilon")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--epsilons", default="10,1,none", help="none: without privacy")
    parser.add_argument("--delta", type=float, default=1e-4)
    parser.add_argument("--ipc", type=int, default=10)
    parser.add_argument("--protocol", default="dc")
    parser.add_argument("--runs", type=int, default=5)
    merge_argument(parser)
    options = parser.parse_args()
    target = dd.load_data("digits", normalisation=privacy.PUBLIC_NORMALISATION)
    budget = {
        "data": target.name,
        "delta": options.delta,
        "ipc": options.ipc,
        "protocol": options.protocol,
        "runs": options.runs,
        "network": "convnet",
        "threads": torch.get_num_threads(),
    }
    title = "privacy" if options.runs == 5 else f"privacy_{options.runs}_runs"
    rows = MergedRows(title, budget, KEY, options.earlier)
    for epsilon in options.epsilons.split(","):
        for name in options.methods.split(","):
            if epsilon == "none" and name not in PLAIN:
                continue
            row = plain(target, name, options) if epsilon == "none" else private(target, name, float(epsilon), options)
            rows.write([row], order, table)


def order(row: dict[str, Any]) -> tuple[float, int]:
    return -row["epsilon"] if isinstance(row["epsilon"], float) else 0, METHODS.index(row["method"])


def table(rows: list[dict[str, Any]]) -> str:
    return markdown([{k: v for k, v in row.items() if k != "accuracies"} for row in rows])


def private(target: dd.TargetData, name: str, epsilon: float, options: argparse.Namespace) -> dict[str, Any]:
    (row,) = privacy.compare(
        target,
        [name],
        epsilon=epsilon,
        delta=options.delta,
        ipc=options.ipc,
        runs=options.runs,
        protocol=options.protocol,
        progress=print,
    ).rows
    return as_row(name, epsilon, row.epsilon, row.accuracies, row.seconds)


def plain(target: dd.TargetData, name: str, options: argparse.Namespace) -> dict[str, Any]:
    accuracies, seconds = [], 0.0
    for seed in range(options.runs):
        summary = dd.distill(target, dd.methods.build_method(name, ipc=options.ipc, preset="cpu"), seed=seed)
        result = dd.evaluate(summary, target, protocol=options.protocol, runs=1, seed=seed).results[0]
        accuracies.extend(result.accuracies)
        seconds += summary.record["seconds"] + result.seconds
    return as_row(name, "none", None, tuple(accuracies), seconds)


def as_row(
    name: str, epsilon: float | str, spent: float | None, accuracies: tuple[float, ...], seconds: float
) -> dict[str, Any]:
    mean, _, ci95 = mean_std_ci95(accuracies)
    return {
        "method": name,
        "epsilon": epsilon,
        "spent": "" if spent is None else f"{spent:.4f}",
        "accuracy %": f"{mean:.2f} ± {ci95:.2f}",
        "seconds": f"{seconds:.0f}",
        "accuracies": [round(a, 3) for a in accuracies],
    }


if __name__ == "__main__":
    main()
