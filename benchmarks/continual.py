"""Distilled memory against replay of real images, on a class-incremental stream.

Both store as many bytes.

python -m benchmarks.continual --data digits --memory 1-per-class
python -m benchmarks.continual --data path/to/fashion-mnist.npz --methods dm,kfs \
    --max-seconds 45 --rates .01,.03 --updates 100,400
python -m benchmarks.continual --data cifar100 --published --tasks 10

What is finished lies in --work. A call that was killed goes on from there, and rows may be measured
one after the other: with ``--only ROW,ROW`` nothing but these is measured, and no result is
written. Several such calls may run side by side, one core each; the same words without ``--only``
then find all of it, and write the result. ``--replace ROW,ROW`` measures these, and puts them into
the result in place of its own, under their commit. ``--published``: the setting of Zhao & Bilen
2023 (CIFAR-100, 20 per class, 5 or 10 experiences, 5 orders, ConvNet of width 128); it wants a GPU.
``--declared``: settings that were fixed before they were run (`DECLARED`), for

python -m benchmarks.continual --declared --data path/to/mnist.npz --memory 785B-per-class
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import RESULTS, data_argument, load_or_explain, machine, markdown, write_results
from benchmarks.merging import MergedRows, kept_work, merge_argument
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

MOST_UPDATES = 1600
"""Where a search beyond ``--updates`` ends."""


DECLARED = {
    "tasks": 5,
    "per_class": 400,
    "seeds": 5,
    "network": "convnet(width=16)",
    "protocol": "dc",
    "batch_size": 64,
    "methods": "auto",
    "tune_auto": True,
    "baselines": "random,herding,random-codec,herding-codec,k_center-codec,jpeg,gdumb,reservoir,class-balanced,er-ace",
    "max_seconds": 60.0,
    "no_float32": True,
    "no_replay": True,
    "mixed": None,
    "rates": ".003,.01,.03",
    "updates": "100,400",
    "final_only": True,
}
"""One comparison on any data and memory. Nothing in it was chosen by a result on test data."""


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
    parser.add_argument("--recall-epochs", type=int, help="instead of the protocol's; nothing is then tried")
    parser.add_argument("--batch-size", type=int, help="of recall, instead of the protocol's")
    parser.add_argument("--steps", type=int, help="of methods")
    parser.add_argument("--max-seconds", type=float, help="of the distillations of an experience")
    parser.add_argument("--no-float32", action="store_true")
    parser.add_argument("--no-replay", action="store_true", help="leave out the rows of replay of methods")
    parser.add_argument("--mixed", type=float, help="share of real images in a further row of each method")
    parser.add_argument("--tune-auto", action="store_true", help="choose auto by the end of the stream, as baselines")
    parser.add_argument("--only", help="measure these methods and baselines alone, and write no result")
    parser.add_argument("--replace", help="measure these methods and baselines alone, and put them into the result")
    parser.add_argument("--rates", default=".003,.01,.03", help="of learning, tried on a validation split")
    parser.add_argument("--updates", default="100,400", help="of a training, tried on a validation split")
    parser.add_argument("--final-only", action="store_true", help="recall after the last experience alone")
    parser.add_argument(
        "--per-class", type=int, help="training examples of each class that the stream has, instead of all"
    )
    parser.add_argument("--split", default="test")
    parser.add_argument("--work", type=Path, default=Path("out/continual"))
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--declared", action="store_true")
    merge_argument(parser)
    options = parser.parse_args()
    if options.published:
        vars(options).update(PUBLISHED)
    if options.declared:
        vars(options).update(DECLARED)
    name = Path(options.data).stem
    title = f"continual_{name}_{options.memory}_{options.tasks}".replace("-", "_")
    target = load_or_explain(options.data, validation=0.2 if options.split == "validation" else 0.0)
    if options.per_class:
        target = first_of_each(target, options.per_class)
    protocol = as_protocol(options.protocol)
    if options.recall_epochs is not None:
        protocol = protocol.with_epochs(options.recall_epochs)
    if options.batch_size is not None:
        protocol = replace(protocol, training=replace(protocol.training, batch_size=options.batch_size))
    named = options.only or options.replace
    wanted = None if named is None else named.split(",")
    commits = kept_work(options.work / title, options.earlier)
    found = compare(
        target,
        asked(options.methods, wanted),
        tasks=options.tasks,
        memory=options.memory,
        baselines=asked(options.baselines, wanted),
        seeds=options.seeds,
        network=options.network,
        protocol=protocol,
        tune_recall=options.recall_epochs is None,
        mixed=options.mixed,
        tune_auto=options.tune_auto,
        replay=not options.no_replay,
        steps=options.steps,
        max_seconds=options.max_seconds,
        float32=not options.no_float32,
        final_only=options.final_only,
        grid=Grid(floats(options.rates), ints(options.updates), most_updates=MOST_UPDATES),
        split=options.split,
        directory=options.work / title,
        progress=print,
        each_row=lambda row: print(json.dumps(row.to_json())),
    )
    if options.only is not None:
        print(found)
        return
    budget = {key: value for key, value in vars(options).items() if key not in NO_BUDGET and value is not None}
    entries = found.to_json()["results"]
    if options.split != "test":
        print(machine(), table(entries), sep="\n")
        return
    if options.replace is None:
        write_results(title, entries, budget | commits, table(entries))
    else:
        merged = MergedRows(title, budget, ("name",), "keep")
        order = [row["name"] for row in merged.rows]
        theirs = {"commit": commits["commits"]} if commits else {}
        entries = [{**entry, **theirs} for entry in entries]
        order += [entry["name"] for entry in entries if entry["name"] not in order]
        entries = merged.write(entries, lambda row: order.index(row["name"]), table)
    plot({**found.to_json(), "results": entries}, RESULTS / f"{title}.png")


NO_BUDGET = ("data", "work", "published", "declared", "only", "replace", "earlier", "methods", "baselines")
"""Options that say no budget: rows name methods and baselines."""


def table(entries: list[dict[str, Any]]) -> str:
    """Return the rows of a comparison."""
    return markdown(
        [
            {
                "strategy": entry["name"],
                "bytes": entry["memory_bytes"],
                "final %": interval(entry["final_accuracy"]),
                "average %": interval(entry["average_incremental_accuracy"]),
                "forgetting": "" if entry["forgetting"] is None else entry["forgetting"],
                "seconds": entry["seconds"],
                "at the edge": ", ".join(entry["at_edge"]),
            }
            for entry in entries
        ]
    )


def asked(names: str, wanted: list[str] | None) -> list[str]:
    """Return the names that are wanted; None: all."""
    return [name for name in names.split(",") if name and (wanted is None or name in wanted)]


def floats(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def ints(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def first_of_each(target: dd.TargetData, count: int) -> dd.TargetData:
    """Return the data with the first ``count`` training examples of each class."""
    kept = [(target.train.targets == c).nonzero().flatten()[:count] for c in target.spec.classes]
    return target.with_train(torch.cat(kept).sort().values, target.name)


def interval(found: dict[str, float | None] | None) -> str:
    if found is None:
        return ""
    return f"{found['mean']:.2f}" + ("" if found["ci95"] is None else f" ± {found['ci95']:.2f}")


if __name__ == "__main__":
    main()
