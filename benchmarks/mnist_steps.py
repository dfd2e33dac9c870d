"""MNIST, DM: what a thousand of the paper's 20 000 steps reach, as a curve over steps.

python -m benchmarks.mnist_steps --data path/to/mnist.npz
"""

from __future__ import annotations

import argparse
from typing import Any

import ddcore as dd
from benchmarks.common import RESULTS, data_argument, load_or_explain, markdown
from benchmarks.merging import MergedRows, merge_argument

PUBLISHED = {1: 89.7, 10: 97.5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data_argument(parser, "mnist")
    parser.add_argument("--ipcs", default="1,10")
    parser.add_argument("--marks", default="0,10,100,1000", help="steps at which networks are trained")
    parser.add_argument("--protocol", default="quick")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--compile", action="store_true", help="compile feature extraction")
    merge_argument(parser)
    options = parser.parse_args()
    target = load_or_explain(options.data)
    marks = sorted(int(m) for m in options.marks.split(","))
    budget = {"precision": options.precision, "networks": options.runs, "seed": 0, "protocol": options.protocol}
    together = MergedRows("mnist_steps", budget, ("ipc",), options.earlier)
    for ipc in map(int, options.ipcs.split(",")):
        kept: dict[int, tuple[float, dd.DataSummary]] = {}
        method = dd.methods.dm(ipc=ipc, preset="paper")

        def keep(progress: dd.Progress, kept: dict[int, tuple[float, dd.DataSummary]] = kept) -> None:
            if progress.step in marks:
                kept[progress.step] = (progress.seconds, progress.snapshot())

        start = dd.distill(target, dd.methods.random(ipc=ipc), seed=0)
        kept[0] = (0.0, start)
        dd.distill(
            target,
            method,
            seed=0,
            steps=marks[-1],
            precision=options.precision,
            compile=options.compile,
            callbacks=[keep],
        )
        rows: list[dict[str, Any]] = []
        for step in marks:
            seconds, summary = kept[step]
            result = dd.evaluate(summary, target, protocol=options.protocol, runs=options.runs).results[0]
            rows.append({"ipc": ipc, "steps": step, "distill s": f"{seconds:.0f}"})
            rows[-1] |= {
                "accuracy %": f"{result.mean:.2f}",
                "ci95": f"{result.ci95:.2f}",
                "paper (20 000)": PUBLISHED[ipc],
            }
            print(rows[-1], flush=True)
        plot(together.write(rows, lambda r: (r["ipc"], r["steps"]), markdown))


def plot(rows: list[dict[str, Any]]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for ipc in sorted({row["ipc"] for row in rows}):
        mine = [row for row in rows if row["ipc"] == ipc]
        line = axes.errorbar(
            [max(row["steps"], 1) for row in mine],
            [float(row["accuracy %"]) for row in mine],
            yerr=[float(row["ci95"]) for row in mine],
            marker="o",
            capsize=3,
            label=f"{ipc} per class",
        )
        axes.axhline(PUBLISHED[ipc], linestyle=":", color=line[0].get_color())
    axes.set(xscale="log", xlabel="outer steps (1: random selection)", ylabel="test accuracy, %", title="DM on MNIST")
    axes.legend(title="dotted: published, 20 000 steps")
    figure.tight_layout()
    figure.savefig(RESULTS / "mnist_steps.png", dpi=120)


if __name__ == "__main__":
    main()
