"""Distilled memory against replay of real images, on a class-incremental stream.

Both store as many bytes.

python -m benchmarks.continual --data digits --memory 1-per-class
python -m benchmarks.continual --data path/to/fashion-mnist.npz --methods dm,kfs \
    --max-seconds 45 --rates .01,.03 --epochs 1,3
python -m benchmarks.continual --data cifar100 --published --tasks 10

What is finished lies in --work. A call that was killed goes on from there, and rows may be measured
one after the other. ``--published``: the setting of Zhao & Bilen 2023 (CIFAR-100, 20 per class, 5
or 10 experiences, 5 orders, ConvNet of width 128); it wants a GPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import ddcore as dd
from benchmarks.common import RESULTS, data_argument, load_or_explain, machine, markdown, write_results
from benchmarks.merging import kept_work, merge_argument
from ddapps.continual.compare import Grid, compare
from ddapps.continual.plot import plot
from ddcore.evaluation import as_protocol

PUBLISHED = {
    "memory": "20-per-class",
    "seeds": 5,
    "network": "convnet",
    "protocol": "dsa",
    "baselines": "random,herding",
}
"""Settings of Zhao & Bilen 2023 (arXiv:2110.04181)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data_argument(parser, "digits")
    parser.add_argument("--methods", default="dm")
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--memory", default="10-per-class")
    parser.add_argument("--baselines", default="random,herding,reservoir,class-balanced,naive")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--network", default="convnet(width=32)")
    parser.add_argument("--protocol", default="dc", help="of recall")
    parser.add_argument("--recall-epochs", type=int, help="instead of the protocol's")
    parser.add_argument("--steps", type=int, help="of methods")
    parser.add_argument("--max-seconds", type=float, help="of each distillation")
    parser.add_argument("--no-float32", action="store_true")
    parser.add_argument("--rates", default=".003,.01,.03", help="of replay, tried on a validation split")
    parser.add_argument("--epochs", default="1,5,20", help="of replay, tried on a validation split")
    parser.add_argument(
        "--per-class", type=int, help="training examples of each class that the stream has, instead of all"
    )
    parser.add_argument("--split", default="test")
    parser.add_argument("--work", type=Path, default=Path("out/continual"))
    parser.add_argument("--published", action="store_true")
    merge_argument(parser)
    options = parser.parse_args()
    if options.published:
        vars(options).update(PUBLISHED)
    name = Path(options.data).stem
    title = f"continual_{name}_{options.memory}_{options.tasks}".replace("-", "_")
    target = load_or_explain(options.data, validation=0.2 if options.split == "validation" else 0.0)
    if options.per_class:
        target = first_of_each(target, options.per_class)
    protocol = as_protocol(options.protocol)
    commits = kept_work(options.work / title, options.earlier)
    found = compare(
        target,
        options.methods.split(","),
        tasks=options.tasks,
        memory=options.memory,
        baselines=[name for name in options.baselines.split(",") if name],
        seeds=options.seeds,
        network=options.network,
        protocol=protocol if options.recall_epochs is None else protocol.with_epochs(options.recall_epochs),
        steps=options.steps,
        max_seconds=options.max_seconds,
        float32=not options.no_float32,
        grid=Grid(tuple(map(float, options.rates.split(","))), tuple(map(int, options.epochs.split(",")))),
        split=options.split,
        directory=options.work / title,
        progress=print,
    )
    budget = {
        key: value
        for key, value in vars(options).items()
        if key not in ("data", "work", "published", "earlier") and value is not None
    } | commits
    rows = [
        {
            "strategy": row.name,
            "bytes": row.memory_bytes,
            "final %": interval(row.to_json()["final_accuracy"]),
            "average %": interval(row.to_json()["average_incremental_accuracy"]),
            "forgetting": row.to_json()["forgetting"],
            "seconds": row.to_json()["seconds"],
            "at the edge": ", ".join(row.at_edge),
        }
        for row in found.rows
    ]
    if options.split == "test":
        write_results(title, found.to_json()["results"], budget, markdown(rows))
        plot(found, RESULTS / f"{title}.png")
    else:
        print(machine(), markdown(rows), sep="\n")


def first_of_each(target: dd.TargetData, count: int) -> dd.TargetData:
    """Return the data with the first ``count`` training examples of each class."""
    kept = [(target.train.targets == c).nonzero().flatten()[:count] for c in target.spec.classes]
    return target.with_train(torch.cat(kept).sort().values, target.name)


def interval(found: dict[str, float | None]) -> str:
    return f"{found['mean']:.2f}" + ("" if found["ci95"] is None else f" ± {found['ci95']:.2f}")


if __name__ == "__main__":
    main()
