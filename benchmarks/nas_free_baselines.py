"""Scores without any training, and combinations with them, against proxies.

python -m benchmarks.nas_free_baselines --table path/to/nb201.npz

Two parts; every setting was fixed here before either was run, and no number chose one.

digits: the 720 ConvNets at widths 4 to 32, 30 of them, two seeds, full training of five epochs as
`ddapps nas rank` does. Proxies: `random:10` and `dm:10(pool=20)` by accuracy and by training loss,
`early-stop:1`, the free scores, and combinations of ten pilot architectures with both. DM and the
combination on random images are compared with random images at their whole cost.

nasbench201: the 60 cells, proxy scores and accuracies that `nas_cifar10_nasbench201.json` recorded
(`benchmarks.nas_rank`; CIFAR-10 itself is not needed again). Free scores are of the same narrow
networks (4 channels, 3 cells); the batch of naswot is uniform noise, standardised, since that
score asks nothing of labels. Combinations: in five folds, the 12 cells of a fold are the pilot and
the other 48 are ranked; every row is the mean over the same folds. What the pilot learns are
accuracies of the table's test split, of cells that are not ranked: it has no others. Then the free
scores alone on 300 cells of different classes of isomorphism.

Not here: a third setting, on data where full training is long.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ddcore as dd
from benchmarks.common import RESULTS, markdown, write_results
from ddapps.nas import FREE, NasBench201, Ranking, better_half, fit, load_table, rank, rank_correlation
from ddapps.nas.correlation import RESAMPLES, Values, taus
from ddapps.nas.search_space import Candidate
from ddcore.evaluation import TrainingSource
from ddcore.ground import one_thread
from ddcore.images import ImageSpec, Standardise
from ddcore.parts import Split

PROXIES = (
    "random:10,random:10(score=training-loss),dm:10(pool=20),dm:10(pool=20,score=training-loss),early-stop:1,"
    "combined:10(of=random:10),combined:10(of=dm:10(pool=20)),combined:10(using=parameters+flops+naswot)"
)
RECORDED = RESULTS / "nas_cifar10_nasbench201.json"
BASES = ("random:10", "dm:10(pool=20)")
FOLDS, CELLS = 5, 300
SPACE = NasBench201(channels=4, cells=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, help="NAS-Bench-201's accuracies, .npz")
    parser.add_argument("--sample", type=int, default=30, help="ConvNets")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100, help="of distillation")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("out/nas_free"))
    options = parser.parse_args()
    cells, folded = recorded_cells()
    many = many_cells(options.table)
    digits = rank(
        dd.load_data("digits", validation=0.2),
        "convnet",
        PROXIES,
        sample=options.sample,
        seeds=options.seeds,
        steps=options.steps,
        workers=options.workers,
        equal_cost=("dm:10(pool=20)", "combined:10(of=random:10)"),
        directory=options.work,
        progress=print,
    )
    budget = {key: value for key, value in vars(options).items() if key not in ("table", "work")}
    text = "\n\n".join(
        [
            f"## digits, {len(digits.labels)} ConvNets\n\n{markdown(ranking_rows(digits))}",
            f"```\n{digits}\n```",
            f"## NAS-Bench-201, CIFAR-10, the 60 recorded cells\n\n{markdown(cells)}",
            f"## The same, mean over {FOLDS} folds: 12 cells are the pilot, 48 are ranked\n\n{markdown(folded)}",
            f"## {CELLS} cells, free scores alone\n\n{markdown(many)}",
        ]
    )
    results = {"digits": digits.to_json(), "cells": cells, "folds": folded, "many_cells": many}
    write_results("nas_free_baselines", results, budget, text)


def ranking_rows(found: Ranking) -> list[dict[str, object]]:
    """Return the table of a comparison, with the differences that are asked for."""
    table = []
    for row in found.rows:
        c, better = row.test.correlation, row.better
        entry = {
            "proxy": row.name,
            "tau": shown(c.tau, c.tau_ci95),
            "better half": "" if better is None else shown(better.correlation.tau, better.correlation.tau_ci95),
            "regret at 1": f"{c.regret_at[1]:.2f}",
            "seconds each": f"{row.seconds:.3f}",
            "seconds in all": f"{row.whole_seconds:.0f}",
        }
        for other in ("random:10", "parameters"):
            d = row.test.differences.get(other)
            entry[f"minus {other}"] = "" if d is None else shown(d.difference, d.ci95, sign="+")
        rivals = found.equal_cost.get(row.name, ())
        entry["minus random at its whole cost"] = "; ".join(
            f"{shown(row.test.differences[rival].difference, row.test.differences[rival].ci95, sign='+')} ({rival})"
            for rival in rivals
            if rival in row.test.differences
        )
        table.append(entry)
    return table


def recorded_cells() -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return the rows of the recorded cells, and those over folds."""
    recorded = json.loads(RECORDED.read_text())["results"]
    accuracies = recorded["truth"]["accuracies"]
    truth = [runs[0] for runs in accuracies.values()]
    candidates = [candidate_of(label) for label in accuracies]
    scores = {row["name"]: row["scores"][0] for row in recorded["proxies"]}
    free, seconds = free_scores(candidates)
    spent = {row["name"]: row["seconds_per_candidate"] for row in recorded["proxies"]} | seconds
    plain = [plain_row(name, mine, truth, spent[name]) for name, mine in {**scores, **free}.items()]
    return plain, over_folds(scores, free, np.array(truth))


def plain_row(name: str, scores: Sequence[float], truth: Sequence[float], seconds: float) -> dict[str, object]:
    """Return tau of one score, over all architectures and among the better half."""
    half = better_half(truth)
    c = rank_correlation(scores, truth, top=(1,))
    b = rank_correlation([scores[i] for i in half], [truth[i] for i in half], top=(1,))
    return {
        "proxy": name,
        "tau": shown(c.tau, c.tau_ci95),
        "better half": shown(b.tau, b.tau_ci95),
        "regret at 1": f"{c.regret_at[1]:.2f}",
        "seconds each": f"{seconds:.3f}",
    }


def over_folds(
    scores: Mapping[str, Sequence[float]], free: Mapping[str, Sequence[float]], truth: Values
) -> list[dict[str, object]]:
    """Return mean taus over folds, for combinations that are fitted on a fold and for the rest."""
    order = np.random.default_rng(0).permutation(len(truth))
    pilots = [order[fold::FOLDS] for fold in range(FOLDS)]
    every: dict[str, list[Values]] = {n: [np.array(mine)] * FOLDS for n, mine in {**scores, **free}.items()}
    for base in (*BASES, ""):
        features = dict(free) if not base else {**features_of_base(scores, base), **free}
        table = [{name: column[i] for name, column in features.items()} for i in range(len(truth))]
        name = f"combined:12(of={base})" if base else "combined:12(using=parameters+flops+naswot)"
        every[name] = []
        for pilot in pilots:
            found = fit(tuple(features), [table[i] for i in pilot], truth[pilot])
            every[name].append(np.array([found.score(values) for values in table]))
    draws = np.random.default_rng(0).multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=RESAMPLES)
    ranked = [np.isin(np.arange(len(truth)), pilot, invert=True).astype(float) for pilot in pilots]
    half = np.isin(np.arange(len(truth)), better_half(truth.tolist())).astype(float)

    def means(name: str, weights: Values) -> Values:
        return np.nanmean([taus(x, truth, weights * mask) for x, mask in zip(every[name], ranked, strict=True)], axis=0)

    rows = []
    for name in every:
        entry: dict[str, object] = {"proxy": name}
        for column, kept in (("tau", np.ones(len(truth))), ("better half", half)):
            point, drawn = means(name, kept[None]), means(name, draws * kept)
            entry[column] = shown(float(point[0]), interval(drawn))
            for other in ("random:10", "parameters"):
                if other != name:
                    d = point - means(other, kept[None])
                    title = f"minus {other}" + (", better half" if column != "tau" else "")
                    entry[title] = shown(float(d[0]), interval(drawn - means(other, draws * kept)), sign="+")
                else:
                    entry[f"minus {other}" + (", better half" if column != "tau" else "")] = ""
        rows.append(entry)
    return rows


def features_of_base(scores: Mapping[str, Sequence[float]], base: str) -> dict[str, Sequence[float]]:
    """Return the three scores that were recorded of the trainings of a proxy."""
    name, _, settings = base.partition("(")
    inside = f"{settings.removesuffix(')')}," if settings else ""
    return {
        "accuracy": scores[base],
        "loss": scores[f"{name}({inside}score=loss)"],
        "training-loss": scores[f"{name}({inside}score=training-loss)"],
    }


def many_cells(path: Path) -> list[dict[str, object]]:
    """Return the free scores' rows on many cells of a table."""
    candidates, truth = load_table(path, SPACE, "cifar10").sample(CELLS)
    scores, seconds = free_scores(candidates)
    return [plain_row(kind, scores[kind], truth.means, seconds[kind]) for kind in FREE]


def free_scores(candidates: Sequence[Candidate]) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the free scores of cells, and the mean seconds of each."""
    noise = torch.rand(128, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    spec = ImageSpec((3, 32, 32), 10, tuple(range(10)), normalisation=Standardise((0.5,) * 3, (12**-0.5,) * 3))
    target = dd.TargetData("noise", spec, Split(noise, torch.arange(128) % 10))
    batch = TrainingSource.of(target, torch.device("cpu"), torch.float32).batch_of(torch.arange(64)).inputs
    found: dict[str, list[float]] = {kind: [] for kind in FREE}
    seconds = dict.fromkeys(FREE, 0.0)
    with one_thread():
        for candidate in candidates:
            # NNI takes half a second to build a cell: one network serves all three.
            started = time.monotonic()
            module = candidate.build(spec.shape, spec.num_classes, seed=0).module
            building = time.monotonic() - started
            for kind, count in FREE.items():
                started = time.monotonic()
                found[kind].append(count(module, batch))
                seconds[kind] += (building + time.monotonic() - started) / len(candidates)
    return found, seconds


def candidate_of(label: str) -> Candidate:
    """Return the cell of a label."""
    pairs = (part.split("=") for part in label.split(","))
    return SPACE.candidate({f"cell/{edge}": operation for edge, operation in pairs})


def interval(values: Values) -> tuple[float, float]:
    """Return the 95 % interval of resampled numbers."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def shown(value: float, ends: Any, sign: str = "") -> str:
    """Return a number with its interval."""
    return f"{value:{sign}.3f} [{ends[0]:.2f}, {ends[1]:.2f}]"


if __name__ == "__main__":
    main()
