"""Accuracy against bytes: distilled images once, federated averaging until it is as accurate.

python -m benchmarks.federated_bytes --data path/to/mnist.npz
python -m benchmarks.federated_bytes --data path/to/mnist.npz --method auto --bytes 16kB \
    --baselines random,herding,random-smaller,herding-smaller,fedavg,fedavg-8bit
python -m benchmarks.federated_bytes --data digits --images 0 --alphas 0.5 --partitions 1 \
    --baselines fedavg

What is finished lies in --work. A call that was killed goes on from there. Settings of both sides
were chosen on a validation split.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from benchmarks.common import RESULTS, data_argument, load_or_explain, markdown, write_results
from benchmarks.merging import kept_work, merge_argument
from ddapps.federated import Settings
from ddapps.federated.baselines import Grid
from ddapps.federated.compare import compare
from ddapps.federated.outcomes import Comparison
from ddapps.federated.plot import plot
from ddapps.federated.settings import equal_share
from ddcore.parts import stratified_split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data_argument(parser, "mnist")
    parser.add_argument("--images", type=int, default=10_000, help="training images, a stratified draw; 0: all")
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--alphas", default="0.1,0.5")
    parser.add_argument("--partitions", type=int, default=3)
    parser.add_argument("--method", default="dm")
    parser.add_argument("--ipc", type=int, default=4)
    parser.add_argument("--bytes", help="that all clients store together, in place of --ipc: 16kB")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--levels", type=int, default=4)
    parser.add_argument("--network", default="convnet(width=16)")
    parser.add_argument("--protocol", default="dsa")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--updates", type=int, default=0, help="of the union, in place of --epochs")
    parser.add_argument("--baselines", default="random,herding,fedavg,fedavg-8bit,fedprox,everything")
    parser.add_argument("--networks", default="convnet(width=8);convnet(width=16)", help="tried for weights")
    parser.add_argument("--local-updates", default="20,100", help="tried for weights")
    parser.add_argument("--rates", default=".03,.1", help="tried for weights")
    parser.add_argument("--mus", default=".01,.1", help="tried for FedProx")
    parser.add_argument("--tuning-rounds", type=int, default=20, help="of weights, in each trial")
    parser.add_argument("--rounds", type=int, default=100, help="most rounds of weights")
    parser.add_argument("--quantised", action="store_true", help="add rows in float32, fp16, uint8 and 16 levels")
    parser.add_argument("--tune-auto", action="store_true", help="choose auto as baselines are tuned")
    parser.add_argument("--workers", type=int, default=1, help="processes that share partitions and trials")
    parser.add_argument("--work", type=Path, default=Path("out/federated"))
    merge_argument(parser)
    options = parser.parse_args()
    name = Path(options.data).stem
    target = load_or_explain(options.data)
    if options.images and options.images < len(target.train):
        _, drawn = stratified_split(target.train.targets, options.images / len(target.train), 0)
        target = target.with_train(drawn, target.name)
    settings = Settings(
        method=options.method,
        ipc=options.ipc,
        bytes=equal_share(options.bytes, options.clients) if options.bytes else "",
        steps=0 if options.method == "auto" else options.steps,
        levels=256 if options.method == "auto" else options.levels,
        network=options.network,
        protocol=options.protocol,
        epochs=0 if options.updates else options.epochs,
        updates=options.updates,
        weighting="counts",
    )
    fine = {storage: replace(settings, storage=storage, levels=256) for storage in ("float32", "fp16", "uint8")}
    grid = Grid(
        networks=tuple(options.networks.split(";")),
        local_updates=tuple(map(int, options.local_updates.split(","))),
        learning_rates=tuple(map(float, options.rates.split(","))),
        proximal_mus=tuple(map(float, options.mus.split(","))),
        rounds=options.tuning_rounds,
    )
    for alpha in map(float, options.alphas.split(",")):
        what = ("_tuned_auto" if options.tune_auto else "_auto") if options.method == "auto" else ""
        title = f"federated_{name}{what}_{alpha:g}".replace("-", "_").replace(".", "_")
        commits = kept_work(options.work / title, options.earlier)
        found = compare(
            target,
            settings,
            clients=options.clients,
            alpha=alpha,
            baselines=[baseline for baseline in options.baselines.split(",") if baseline],
            variants={**fine, "16 levels": replace(settings, levels=16)} if options.quantised else {},
            seeds=options.partitions,
            rounds=options.rounds,
            grid=grid,
            tune_auto=options.tune_auto,
            workers=options.workers,
            directory=options.work / title,
            progress=print,
        )
        budget = {
            key: value
            for key, value in vars(options).items()
            if key not in ("data", "work", "alphas", "earlier", "workers")
        }
        write_results(title, found.to_json(), {"alpha": alpha, **budget, **commits}, markdown(rows(found)))
        plot(found, RESULTS / f"{title}.png")


def rows(found: Comparison) -> list[dict[str, object]]:
    """Return the table: bytes are means over partitions."""
    table = []
    for row in found.rows:
        entry = row.to_json()
        accuracy = entry["accuracy"]
        ratios = found.ratios()[row.name]
        table.append(
            {
                "": row.name,
                "rounds": entry["rounds"],
                "accuracy %": f"{accuracy['mean']:.2f}"
                + ("" if accuracy["ci95"] is None else f" ± {accuracy['ci95']:.2f}"),
                "kB up": f"{entry['bytes_up'] / 1000:.1f}",
                "kB down": f"{entry['bytes_down'] / 1000:.1f}",
                "bytes until as accurate as the first row": f"{fmean(ratios):.1f} times" if ratios else "never",
                "partitions where it got there": f"{len(ratios)} of {len(row.courses)}",
                "seconds": entry["seconds"],
                "at the edge": ", ".join(row.at_edge),
            }
        )
    return table


if __name__ == "__main__":
    main()
