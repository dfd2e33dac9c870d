"""digits: every method at ipc 1 and 10 under the protocols quick, dc and dsa.

The network is a ConvNet of width 128, depth 2, or another one (``--network``). All methods may take
the same number of steps (``--steps``). The file of results is named for both.

Rows of an earlier call at the same budget are kept, so methods can be measured one after the other.
"""

from __future__ import annotations

import argparse
import re
import time
from statistics import mean
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import markdown
from benchmarks.merging import MergedRows, merge_argument

DETERMINISTIC = ("herding", "k_center", "forgetting")
QUANTISED = ("dm", "idc")
KEY = ("method", "ipc", "protocol")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default=",".join(dd.methods.METHODS))
    parser.add_argument("--ipcs", default="1,10")
    parser.add_argument("--protocols", default="quick,dc,dsa")
    parser.add_argument("--seeds", type=int, default=2, help="distillations per method")
    parser.add_argument("--runs", type=int, default=5, help="networks per distillation")
    parser.add_argument("--precision", default="fp32", help="of distillation; results of others get its name")
    parser.add_argument("--network", help="to distil on and to evaluate, instead of the usual one")
    parser.add_argument("--steps", type=int, help="of every method, instead of its preset's")
    merge_argument(parser)
    options = parser.parse_args()
    target = dd.load_data("digits")
    title = "digits" if options.precision == "fp32" else f"digits_{options.precision}"
    chosen = {"network": options.network, "steps": options.steps}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if chosen:
        title += "_" + re.sub(r"[\W_]+", "_", "_".join(f"{value}" for value in chosen.values())).strip("_")
    budget = {"preset": "cpu", **chosen, "networks per distillation": options.runs, "seeds": "from 0"}
    rows = MergedRows(title, budget, KEY, options.earlier)
    for name in options.methods.split(","):
        for ipc in map(int, options.ipcs.split(",")):
            rows.write(measure(target, name, ipc, options), order, lambda results: markdown(table(results)))


def order(row: dict[str, Any]) -> tuple[int, int]:
    return list(dd.methods.METHODS).index(row["method"]), row["ipc"]


def measure(target: dd.TargetData, name: str, ipc: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Distil with some seeds; return one row per protocol."""
    found: dict[str, list[float]] = {}
    seconds, busy = [], []
    for seed in range(1 if name in DETERMINISTIC else options.seeds):
        method = dd.methods.build_method(name, ipc=ipc, preset="cpu", target=target)
        if method.matching is not None:
            method = method if options.network is None else method.on_networks(options.network)
            method = method if options.steps is None else method.with_steps(options.steps)
        began = time.process_time()
        summary = dd.distill(target, method, seed=seed, precision=options.precision)
        busy.append(time.process_time() - began)
        seconds.append(float(summary.record["seconds"]))
        network = options.network
        for protocol in options.protocols.split(","):
            found.setdefault(protocol, []).extend(accuracies(summary, target, protocol, options.runs, seed, network))
            if name in QUANTISED and protocol == "dc":
                small = summary.quantize("uint8")
                found.setdefault("dc uint8", []).extend(
                    accuracies(small, target, protocol, options.runs, seed, network)
                )
    rows = []
    for protocol, values in found.items():
        average, std, ci95 = dd.evaluation.mean_std_ci95(values)
        facts: dict[str, Any] = {
            "method": name,
            "ipc": ipc,
            "protocol": protocol,
            "mean": average,
            "std": std,
            "ci95": ci95,
        }
        spent = {"steps": method.steps, "stored_bytes": summary.stored_bytes, "threads": torch.get_num_threads()}
        rows.append(facts | spent | {"accuracies": values, "distill_seconds": seconds, "cpu_seconds": busy})
    return rows


def table(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    protocols = dict.fromkeys(row["protocol"] for row in sorted(results, key=lambda r: r["protocol"] == "dc uint8"))
    for result in results:
        seconds = result["distill_seconds"]
        first = {
            "method": result["method"],
            "ipc": result["ipc"],
            "bytes": result["stored_bytes"],
            "steps": result["steps"],
            "distillations": len(seconds),
            "s each": f"{sum(seconds) / len(seconds):.0f}",
            **({"CPU s each": f"{mean(result['cpu_seconds']):.0f}"} if "cpu_seconds" in result else {}),
            "threads": result["threads"],
        }
        row = rows.setdefault((result["method"], result["ipc"]), first | dict.fromkeys(protocols, ""))
        row[result["protocol"]] = f"{result['mean']:.1f} ± {result['ci95']:.1f}"
    return list(rows.values())


def accuracies(
    summary: dd.DataSummary, target: dd.TargetData, protocol: str, runs: int, seed: int, network: str | None
) -> list[float]:
    networks = {} if network is None else {"networks": network}
    return list(dd.evaluate(summary, target, protocol=protocol, runs=runs, seed=seed, **networks).results[0].accuracies)


if __name__ == "__main__":
    main()
