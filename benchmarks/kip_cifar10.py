"""KIP with the NTK of one fully connected hidden layer.

It is tested by kernel ridge regression in float64.

python -m benchmarks.kip_cifar10 --data path/to/cifar10.npz
python -m benchmarks.kip_cifar10 --data path/to/mnist.npz --ipcs 1,10,50 --steps 1000

The first is the public notebook's run: 100 images, 300 steps. The notebook draws 5000 real images
for each step and learns no labels; so does this. Rows of an earlier call are kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import data_argument, load_or_explain, markdown
from benchmarks.merging import MergedRows, merge_argument

NOTEBOOK = {0: 24.26, 20: 41.41, 100: 45.44, 200: 46.23, 300: 46.74}
"""Step -> accuracy that the authors' notebook prints for 100 images of CIFAR-10."""
PUBLISHED = {
    "cifar10": {1: 40.5, 10: 53.1, 50: 58.6},
    "mnist": {1: 85.5, 10: 97.2, 50: 98.4},
}
"""The survey's row for KIP with this kernel, tested by kernel regression."""
KEY = ("data", "ipc", "labels", "normalisation", "seed", "step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data_argument(parser, "cifar10")
    parser.add_argument("--ipcs", default="10")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--labels", default="hard", help="hard, or soft: learned")
    parser.add_argument("--normalisation", default="standard", help="standard, as in the notebook, or zca-unit")
    parser.add_argument("--seed", type=int, default=0)
    merge_argument(parser)
    options = parser.parse_args()
    name = Path(options.data).stem
    target = load_or_explain(options.data, normalisation=options.normalisation)
    budget = {"real images": 5000, "kernel": "NTK, fully connected, depth 1"}
    rows = MergedRows("kip", budget, KEY, options.earlier)
    for ipc in map(int, options.ipcs.split(",")):
        rows.write(measure(target, name, ipc, options), lambda r: [r[k] for k in KEY], markdown)


def measure(target: dd.TargetData, name: str, ipc: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    method = dd.methods.kip(ipc=ipc, preset="paper").with_steps(options.steps)
    method = dd.override(method, "factorization.labels", options.labels)
    marks = {20, 100, 200, 300, 1000, 3000, options.steps}
    found: dict[int, tuple[float, float]] = {}

    def test(step: int, summary: dd.DataSummary, seconds: float) -> None:
        found[step] = dd.evaluate_kernel(summary, target).results[0].mean, seconds
        print(f"{name}, {ipc} per class, step {step}: {found[step][0]:.2f} % in {seconds:.0f} s", flush=True)

    def observe(progress: dd.Progress) -> None:
        if progress.step in marks:
            test(progress.step, progress.snapshot(), progress.seconds)

    test(0, dd.distill(target, method, seed=options.seed, steps=0), 0.0)
    dd.distill(target, method, seed=options.seed, callbacks=[observe])
    rows = []
    for step, (accuracy, seconds) in found.items():
        published: object = NOTEBOOK.get(step, "") if (name, ipc, options.labels) == ("cifar10", 10, "hard") else ""
        if step == options.steps and not published:
            published = PUBLISHED.get(name, {}).get(ipc, "")
        rows.append(
            {
                "data": name,
                "ipc": ipc,
                "labels": options.labels,
                "normalisation": options.normalisation,
                "seed": options.seed,
                "step": step,
                "seconds": round(seconds),
                "accuracy by kernel %": round(accuracy, 2),
                "published": published,
                "threads": torch.get_num_threads(),
            }
        )
    return rows


if __name__ == "__main__":
    main()
