"""Four of scikit-learn's embedded tables at 1 and 10 rows per class: methods with an MLP.

Each distillation has a seed of its own, and so has the network that is trained on it (protocol
quick). The best method is chosen on a validation split, a fifth of the training rows. The scores
are those of the test split. Estimators of scikit-learn, trees among them, are trained on the same
rows.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import markdown
from benchmarks.merging import MergedRows, merge_argument

TABLES = ("breast-cancer", "wine", "iris", "digits")
BASELINES = ("random", "herding", "k_center", "k_means")
METHODS = ("dm", "dc", "kip", "frepo", "mtt")
ESTIMATORS = ("sklearn:logistic-regression", "sklearn:k-neighbors(n_neighbors=1)", "sklearn:hist-gradient-boosting")
LEARNERS = ("mlp", *ESTIMATORS)
FULL = "all rows"
KEY = ("data", "ipc", "method")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--methods", default=",".join((FULL, *BASELINES, *METHODS)))
    parser.add_argument("--ipcs", default="1,10")
    parser.add_argument("--seeds", type=int, default=5, help="distillations per method")
    parser.add_argument("--random-seeds", type=int, default=30, help="random selections: they differ the most")
    merge_argument(parser)
    options = parser.parse_args()
    budget = {
        "preset": "cpu",
        "protocol": "quick",
        "seeds": options.seeds,
        "random seeds": options.random_seeds,
        "validation": "a fifth of the training rows",
    }
    rows = MergedRows("tables", budget, KEY, options.earlier)
    for data in options.tables.split(","):
        target = dd.load_data(data, modality="tables", validation=0.2)
        for ipc in map(int, options.ipcs.split(",")):
            for method in options.methods.split(","):
                seeds = options.random_seeds if method == "random" else options.seeds
                rows.write([measure(target, data, ipc, method, seeds)], order, shown, show=False)
    print(shown(rows.rows))


def order(row: dict[str, Any]) -> tuple[int, int, int]:
    return TABLES.index(row["data"]), row["ipc"], (FULL, *BASELINES, *METHODS).index(row["method"])


def measure(target: dd.TargetData, data: str, ipc: int, name: str, seeds: int) -> dict[str, Any]:
    """Distil with some seeds, and train one of each learner on each summary."""
    scores: dict[str, list[float]] = {learner: [] for learner in LEARNERS}
    validation, seconds, steps = [], 0.0, 0
    for seed in range(seeds):
        source: dd.DataSummary | dd.TargetData = target
        if name != FULL:
            method = dd.methods.build_method(name, ipc=ipc, preset="cpu", target=target)
            source = dd.distill(target, method, seed=seed)
            seconds, steps = seconds + source.record["seconds"], method.steps
        tested = dd.evaluate(source, target, networks=list(LEARNERS), protocol="quick", runs=1, seed=seed)
        for learner, result in zip(LEARNERS, tested.results, strict=True):
            scores[learner] += result.accuracies
        chosen_by = dd.evaluate(source, target, networks="mlp", protocol="quick", runs=1, seed=seed, split="validation")
        validation += chosen_by.results[0].accuracies
    return {
        "data": data,
        "ipc": ipc,
        "method": name,
        "validation": dd.evaluation.sample_statistics(validation),
        "scores": {learner: dd.evaluation.sample_statistics(values) for learner, values in scores.items()},
        "steps": steps,
        "distill_seconds": round(seconds / seeds, 2),
        "threads": torch.get_num_threads(),
    }


def shown(rows: list[dict[str, Any]]) -> str:
    """Return all rows, and the best method of each table beside random."""
    lines = [
        {"data": row["data"], "per class": row["ipc"], "method": row["method"]}
        | {learner: interval(row["scores"][learner]) for learner in LEARNERS}
        | {"validation": f"{row['validation']['mean']:.1f}", "s each": f"{row['distill_seconds']:.1f}"}
        for row in rows
    ]
    best = [line for line in map(best_of, {(row["data"], row["ipc"]): rows for row in rows}.items()) if line]
    return markdown(lines) + ("\n\nThe best by validation, beside random:\n\n" + markdown(best) if best else "")


def best_of(place: tuple[tuple[str, int], list[dict[str, Any]]]) -> dict[str, Any] | None:
    """Return the method that is best on the validation split, beside random selection.

    Its row says whether its test interval lies above that of random selection.
    """
    (data, ipc), rows = place
    here = {row["method"]: row for row in rows if (row["data"], row["ipc"]) == (data, ipc)}
    ours = [here[name] for name in METHODS if name in here]
    if not ours or "random" not in here:
        return None
    best = max(ours, key=lambda row: row["validation"]["mean"])
    found, random = best["scores"]["mlp"], here["random"]["scores"]["mlp"]
    apart = found["mean"] - found["ci95"] > random["mean"] + random["ci95"]
    line = {"data": data, "per class": ipc, "best": best["method"], "mlp": interval(found), "random": interval(random)}
    return line | {"intervals apart": "yes" if apart else "no"}


def interval(statistics: dict[str, Any]) -> str:
    return f"{statistics['mean']:.1f} ± {statistics['ci95']:.1f}"


if __name__ == "__main__":
    main()
