"""What to keep in so many bytes: ``auto`` beside the single compositions that it chooses among.

python -m benchmarks.bytes --data digits mnist.npz fashion-mnist.npz cifar10.npz breast-cancer

Declared before it was run: at most 400 training examples of each class, the test split (2000
examples of it at most); the bytes of 1, 3 and 10 real examples per class; ConvNet of width 16 (of
tables the usual MLP), protocol ``quick`` with 400 updates of 64 examples; 3 seeds, which draw the
distillation and the network. ``auto`` chooses once per setting, on a fifth of the training data, in
ten minutes at most. No distillation takes more than a minute, whoever chose its method.
The portfolio was set on digits and on MNIST; palettes, their sizes and three levels on training
images of CIFAR-10 and Fashion-MNIST. No test split was used.

Beside it stand random selection as bytes, all methods in the storage that auto took and in the next
best one, and what it chose, if that has soft labels. What is finished lies in --work: a call that
was killed goes on from there. ``--kept`` writes what is finished, and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import load_or_explain, markdown, write_results
from ddcore.choosing import SOFT
from ddcore.evaluation import as_protocol
from ddcore.evaluation.statistics import Measured
from ddcore.summary import original_bytes

PER_CLASS, TESTED, SEEDS = 400, 2000, 3
IMAGES = (1, 3, 10)
NETWORK = "convnet(width=16)"
UPDATES, BATCH = 400, 64
MOST_SECONDS, CHOICE_SECONDS = 60, 600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["digits", "breast-cancer"])
    parser.add_argument("--work", type=Path, default=Path("out/bytes"))
    parser.add_argument("--kept", action="store_true", help="write what is finished, and run nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cells: list[dict[str, Any]] = []
    budget = {
        "per class": PER_CLASS,
        "tested": TESTED,
        "seeds": SEEDS,
        "network": NETWORK,
        "updates": UPDATES,
        "most seconds": f"{MOST_SECONDS} of a distillation, {CHOICE_SECONDS} of a choice",
    }
    for images in IMAGES:
        for data in options.data:
            if options.kept and not kept_at(options.work, data, images).exists():
                continue
            cells.append(cell(data, images, options.work))
            rows = [row for found in cells for row in found["rows"]]
            columns = [{k: v for k, v in row.items() if k != "scores"} for row in rows]
            write_results("bytes", cells, budget, markdown(columns), show=False)
            print(markdown(columns[-len(cells[-1]["rows"]) :]), flush=True)


def cell(data: str, images: int, work: Path) -> dict[str, Any]:
    """Return what was chosen for one data set and budget, and what each composition reaches."""
    kept = kept_at(work, data, images)
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text())
        return found
    target = part_of(load_or_explain(data))
    nbytes = original_bytes(target.spec, images * len(target.spec.classes))
    network = NETWORK if target.spec.modality == "images" else None
    choice = dd.choose_method(target, nbytes=nbytes, network=network, max_seconds=CHOICE_SECONDS)
    best = {name.removesuffix(SOFT).partition(" (")[2] for name in choice.rungs[-1].scores}
    singles = {
        name: entry
        for name, entry in dd.portfolio(target.spec).items()
        if name == "random" or name.partition(" (")[2] in best or entry.joint
    }
    built = {name: entry.build() for name, entry in singles.items()} | {choice.name: choice.method}
    rows = []
    for name, method in built.items():
        started = time.monotonic()
        try:
            scores, stored = reached(method, target, nbytes, network)
        except dd.errors.DistillationError as error:
            rows.append({"data": target.name, "bytes": nbytes, "composition": name, "test %": str(error)[:60]})
            continue
        rows.append(
            {
                "data": target.name,
                "bytes": nbytes,
                "composition": name,
                "test %": str(Measured(scores)),
                "stored": stored,
                "auto": "chosen" if name == choice.name else "",
                "seconds": f"{time.monotonic() - started:.0f}",
                "scores": list(scores),
            }
        )
    found = {"data": target.name, "bytes": nbytes, "choice": choice.record(), "rows": rows}
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found))
    return found


def kept_at(work: Path, data: str, images: int) -> Path:
    """Return where a cell lies once it is finished."""
    return work / f"{Path(data).stem}_{images}.json"


def part_of(target: dd.TargetData) -> dd.TargetData:
    """Return at most so many training examples of each class, and test examples."""
    chosen = torch.cat([(target.class_ids() == c).nonzero().flatten()[:PER_CLASS] for c in target.spec.classes])
    assert target.test is not None
    few = torch.arange(min(TESTED, len(target.test)))
    return replace(target.with_train(chosen, target.name), test=target.test.take(few))


def reached(
    method: dd.Method, target: dd.TargetData, nbytes: int, network: str | None
) -> tuple[tuple[float, ...], int]:
    """Return the test score of each seed, and the most bytes that were stored."""
    quick = as_protocol("quick", None)
    protocol = replace(quick, training=replace(quick.training, updates={1: UPDATES}, batch_size=BATCH))
    scores, stored = [], 0
    sized = dd.fitted(method, target, nbytes)
    if sized.matching is not None and network is not None:
        sized = sized.on_networks(network)
    for seed in range(SEEDS):
        summary = dd.distill(target, sized, seed=seed, max_seconds=MOST_SECONDS, progress=False)
        stored = max(stored, summary.stored_bytes)
        report = dd.evaluate(summary, target, networks=network, protocol=protocol, runs=1, seed=seed)
        scores.append(report.results[0].values[0])
    return tuple(scores), stored


if __name__ == "__main__":
    main()
