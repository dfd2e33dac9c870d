"""MNIST or Fashion-MNIST: methods at one budget of minutes each.

The network is a ConvNet-3 of width 128, or another one.

python -m benchmarks.mnist_methods --data path/to/mnist.npz --minutes 10
python -m benchmarks.mnist_methods --data path/to/mnist.npz --minutes 10 \
    --network 'convnet(width=32)' --methods mtt,frepo,dm

With another network the file is named for it, distillation and evaluation both take it, and methods
have their preset ``cpu``. The minutes are of distillation alone. Those of experts stand beside
them.

Rows of an earlier call at the same budget are kept, so methods can be measured one after the other.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import data_argument, load_or_explain, markdown
from benchmarks.merging import MergedRows, merge_argument
from ddcore.parts import largest_ipc
from ddcore.sources import ExpertSegments

PUBLISHED = {
    "mnist": {
        ("random", 1): "64.9", ("random", 10): "95.1", ("dm", 1): "89.7", ("dm", 10): "97.5", ("dc", 1): "91.7",
        ("dc", 10): "97.4", ("dsa", 1): "88.7", ("dsa", 10): "97.8", ("idc", 1): "94.2", ("idc", 10): "98.4",
    },
}  # fmt: skip
KEY = ("method", "ipc")
UNBOUNDED = 1_000_000
"""Steps of a run that time alone ends."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data_argument(parser, "mnist")
    parser.add_argument("--methods", default="random,dm,dc,dsa,idc")
    parser.add_argument("--ipcs", default="1,10")
    parser.add_argument(
        "--bytes", help="budgets instead of --ipcs, comma-separated; all numbers are then stored in one byte each"
    )
    parser.add_argument("--minutes", type=float, default=20, help="of distillation")
    parser.add_argument("--inner", type=int, help="epochs of inner training of dc and dsa, instead of the paper's")
    parser.add_argument("--network", help="to distil on and to evaluate, instead of the paper's")
    parser.add_argument("--protocol", default="quick")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--precision", default="fp32", help="of distillation")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="METHOD.KEY=VALUE", help="override a setting")
    merge_argument(parser)
    options = parser.parse_args()
    target = load_or_explain(options.data)
    name = Path(options.data).stem
    title = f"{name.replace('-', '_')}_methods"
    if options.network:
        title += "_" + re.sub(r"\W+", "_", options.network).strip("_")
    title += "_by_bytes" if options.bytes else ""
    budget = {
        "minutes": options.minutes,
        **({"network": options.network} if options.network else {}),
        "precision": options.precision,
        "compiled": options.compile,
        "protocol": options.protocol,
        "networks": options.runs,
        "seed": 0,
        "threads": torch.get_num_threads(),
    }
    by = KEY if not options.bytes else ("method", "budget")
    rows = MergedRows(title, budget, by, options.earlier)

    def order(row: dict[str, Any]) -> tuple[int, int]:
        return row[by[1]], list(dd.methods.METHODS).index(row["method"])

    for size in map(int, (options.bytes or options.ipcs).split(",")):
        for key in options.methods.split(","):
            rows.write([measure(target, name, key, size, options)], order, table)


def table(rows: list[dict[str, Any]]) -> str:
    return markdown([{k: v for k, v in row.items() if k != "accuracies"} for row in rows])


def measure(target: dd.TargetData, name: str, key: str, size: int, options: argparse.Namespace) -> dict[str, Any]:
    how: dict[str, Any] = {"preset": "cpu" if options.network else "paper", "data": name, "target": target}
    how |= {"budget": dd.Budget(size), "storage": "uint8"} if options.bytes else {"ipc": size}
    method = dd.methods.build_method(key, **how)
    if options.network and method.matching:
        method = method.on_networks(options.network).with_steps(UNBOUNDED)
    if options.inner and key in ("dc", "dsa") and largest_ipc(method.factorization.ipc) > 1:  # type: ignore[attr-defined]
        method = dd.override(method, "networks.inner", options.inner)
    for setting in options.set:
        path, _, value = setting.partition("=")
        if path.startswith(f"{key}."):
            method = dd.override(method, path.removeprefix(f"{key}."), type_of(value))
    source = method.networks
    if isinstance(source, ExpertSegments) and source.directory is None:
        place = Path(mkdtemp(prefix="experts-"))
        dd.train_experts(
            target, place, network=source.architecture, training=source.training, count=source.count or 1, seed=0
        )
        method = dd.override(method, "networks.directory", str(place))
    summary = dd.distill(
        target,
        method,
        seed=0,
        max_seconds=60 * options.minutes,
        precision=options.precision,
        compile=options.compile,
    )
    network = options.network or "convnet"
    result = dd.evaluate(summary, target, networks=network, protocol=options.protocol, runs=options.runs).results[0]
    steps, experts = summary.record["steps"], summary.record.get("experts", {}).get("seconds")
    return {
        "method": key,
        **({"budget": size} if options.bytes else {"ipc": size}),
        "bytes": summary.stored_bytes,
        "examples": len(summary),
        "steps": f"{steps} of {method.steps}" if method.steps != UNBOUNDED else str(steps),
        "distill s": f"{summary.record['seconds']:.0f}",
        **({"experts s": f"{experts:.0f}" if experts else ""} if options.network else {}),
        "accuracy %": f"{result.mean:.2f} ± {result.ci95:.2f}",
        "paper (all steps)": "" if options.bytes else PUBLISHED.get(name, {}).get((key, size), ""),
        "accuracies": list(result.accuracies),
    }


def type_of(text: str) -> object:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
