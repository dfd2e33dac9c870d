"""Accuracy against examples per class, from 1 to 100: where does distilling stop to pay?

DM and DSA stand beside random selection.

python -m benchmarks.scaling --data digits

Rows of an earlier call at the same budget are kept, so points can be measured one after the other.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import RESULTS, data_argument, load_or_explain, markdown
from benchmarks.merging import MergedRows, merge_argument

KEY = ("method", "ipc")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data_argument(parser, "digits")
    parser.add_argument("--ipcs", default="1,2,5,10,20,50,100")
    parser.add_argument("--steps", default="random=0,dm=500,dsa=200", help="matching steps of each method")
    parser.add_argument("--network", default="convnet(width=32)", help="distilled and evaluated on")
    parser.add_argument("--protocol", default="quick")
    parser.add_argument("--runs", type=int, default=5)
    merge_argument(parser)
    options = parser.parse_args()
    target = load_or_explain(options.data)
    steps = {name: int(n) for name, _, n in (pair.partition("=") for pair in options.steps.split(","))}
    budget = {"data": target.name, "protocol": options.protocol, "networks": options.runs, "seed": 0, "preset": "cpu"}
    budget["network"] = options.network
    title = f"scaling_{target.name.replace('-', '_')}"
    rows = MergedRows(title, budget, KEY, options.earlier)

    def order(row: dict[str, Any]) -> tuple[int, int]:
        return row["ipc"], list(steps).index(row["method"]) if row["method"] in steps else len(steps)

    for ipc in map(int, options.ipcs.split(",")):
        for name in steps:
            method = dd.methods.build_method(name, ipc=ipc, preset="cpu", data=target.name)
            if steps[name]:
                method = method.with_steps(steps[name]).on_networks(options.network)
            summary = dd.distill(target, method, seed=0)
            result = dd.evaluate(
                summary, target, networks=options.network, protocol=options.protocol, runs=options.runs
            ).results[0]
            row = {"method": name, "ipc": ipc, "steps": steps[name], "seconds": summary.record["seconds"]}
            row |= {"mean": result.mean, "ci95": result.ci95, "accuracies": list(result.accuracies)}
            row["threads"] = torch.get_num_threads()
            plot(title, rows.write([row], order, lambda found: markdown(table(found)) + "\n\n" + crossovers(found)))


def table(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    methods = dict.fromkeys(r["method"] for r in results)
    rows: dict[int, dict[str, Any]] = {}
    for r in results:
        row = rows.setdefault(r["ipc"], {"ipc": r["ipc"], **dict.fromkeys(methods, "")})
        row[r["method"]] = f"{r['mean']:.1f} ± {r['ci95']:.1f}"
    return list(rows.values())


def crossovers(results: list[dict[str, Any]]) -> str:
    """Say at which ipc each method's interval is above that of random selection, and where not."""
    lines = []
    found = {(r["method"], r["ipc"]): r for r in results}
    ipcs = sorted({r["ipc"] for r in results})
    for name in dict.fromkeys(r["method"] for r in results if r["method"] != "random"):
        compared = [i for i in ipcs if (name, i) in found and ("random", i) in found]
        ahead = [
            found[name, i]["mean"] - found[name, i]["ci95"] > found["random", i]["mean"] + found["random", i]["ci95"]
            for i in compared
        ]
        above = [str(i) for i, a in zip(compared, ahead, strict=True) if a]
        level = [str(i) for i, a in zip(compared, ahead, strict=True) if not a]
        parts = [f"above it, at ipc {', '.join(above)}"] if above else []
        parts += [f"not at ipc {', '.join(level)}"] if level else []
        text = "; ".join(parts)
        lines.append(f"- {name}: separated from random selection, {text}.")
    return "\n".join(lines)


def plot(title: str, results: list[dict[str, Any]]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for name in dict.fromkeys(r["method"] for r in results):
        mine = [r for r in results if r["method"] == name]
        points = [[r[key] for r in mine] for key in ("ipc", "mean", "ci95")]
        axes.errorbar(points[0], points[1], yerr=points[2], marker="o", capsize=3, label=name)
    axes.set(xscale="log", xlabel="examples per class", ylabel="test accuracy, %", title=title.replace("_", " "))
    axes.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / f"{title}.png", dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
