"""MNIST or Fashion-MNIST under differential privacy, at a stated number of questions.

Accuracy against epsilon is drawn as a picture.

python -m benchmarks.privacy_images --data path/to/mnist.npz

The number of questions is chosen first, then the noise for it. Rows of an earlier call at the same
settings are kept, so methods can be measured one after the other. What was set with --set is in
their column.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import RESULTS, data_argument, markdown
from benchmarks.merging import MergedRows, merge_argument
from ddapps import privacy
from ddcore.parts import parse_architecture

PUBLISHED = {("mnist", 10.0): 95.6, ("mnist", 1.0): 80.9, ("fashion-mnist", 10.0): 77.7, ("fashion-mnist", 1.0): 70.2}
"""Private Set Generation, 20 per class (Chen et al. 2022): 200 000 questions, width 128."""
KEY = ("method", "epsilon")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data_argument(parser, "mnist")
    parser.add_argument("--methods", default="psg,dm,public_subspace,mean_features,dp_sgd")
    parser.add_argument("--epsilons", default="10,1")
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--ipc", type=int, default=20)
    parser.add_argument("--width", type=int, default=32, help="of the networks, distilled on and evaluated")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--protocol", default="quick")
    parser.add_argument("--distillations", type=int, default=1, help="of each method, each with the whole budget")
    parser.add_argument("--runs", type=int, default=3, help="networks trained on each summary")
    parser.add_argument("--set", action="append", default=[], metavar="METHOD.KEY=VALUE", help="override a setting")
    parser.add_argument(
        "--split", default="test", help="validation: a tenth of the training examples, to choose settings"
    )
    merge_argument(parser)
    options = parser.parse_args()
    name = Path(options.data).stem
    carved = {"validation": 0.1, "split_by": "content"} if options.split == "validation" else {}
    target = dd.load_data(options.data, normalisation=privacy.PUBLIC_NORMALISATION, num_classes=10, **carved)
    title = f"privacy_{name.replace('-', '_')}_{options.ipc}_per_class"
    budget = {
        "delta": options.delta,
        "ipc": options.ipc,
        "network": f"convnet(width={options.width})",
        "protocol": options.protocol,
        "distillations": options.distillations,
        "networks": options.runs,
        "threads": torch.get_num_threads(),
    }
    rows = MergedRows(title, budget, KEY, options.earlier) if options.split == "test" else None
    for key in options.methods.split(","):
        for epsilon in map(float, options.epsilons.split(",")):
            row = measure(target, name, key, epsilon, options)
            if rows is None:
                print(row)
            else:
                draw(rows.write([row], lambda r: (r["method"], -r["epsilon"]), markdown), name, title)


def measure(target: dd.TargetData, name: str, key: str, epsilon: float, options: argparse.Namespace) -> dict[str, Any]:
    started, network = time.monotonic(), f"convnet(width={options.width})"
    budget = {"epsilon": epsilon, "delta": options.delta}
    accuracies, seconds = [], 0.0
    if key == "dp_sgd":
        training = privacy.baselines.PrivateTraining(steps=options.questions, sample_rate=0.02)
        for run in range(options.runs):
            trained, certificate = privacy.baselines.dp_sgd(
                target, **budget, network=network, training=training, seed=run
            )
            accuracies.append(privacy.accuracy(trained, target, options.split))
        seconds = time.monotonic() - started
    else:
        for seed in range(options.distillations):
            started = time.monotonic()
            summary = distilled(target, key, budget, options, seed)
            seconds += time.monotonic() - started
            certificate = privacy.Certificate.of(summary)
            report = dd.evaluate(
                summary,
                target,
                networks=network,
                protocol=options.protocol,
                runs=options.runs,
                split=options.split,
                seed=seed,
            )
            accuracies.extend(report.results[0].accuracies)
            print(key, epsilon, "seed", seed, report.results[0].accuracies, flush=True)
    mean, _, ci95 = dd.evaluation.mean_std_ci95(accuracies)
    return {
        "method": key,
        "epsilon": epsilon,
        "spent": f"{certificate.epsilon:.4f}",
        "questions": certificate.steps,
        "sampling rate": f"{certificate.queries[-1][1]:.4f}",
        "set": " ".join(s for s in options.set if s.startswith(f"{key}.")),
        "noise": f"{certificate.queries[-1][0]:.4f}",
        "distill s": f"{seconds:.0f}",
        "mean": round(mean, 2),
        "ci95": round(ci95, 2),
        "published (psg, 200 000 questions)": PUBLISHED.get((name, epsilon), "") if key == "psg" else "",
    }


def distilled(
    target: dd.TargetData, key: str, budget: dict[str, float], options: argparse.Namespace, seed: int
) -> dd.DataSummary:
    whole: dict[str, Callable[..., privacy.PrivateMethod]] = {
        "mean_features": privacy.baselines.mean_features,
        "public_subspace": privacy.public_subspace,
    }
    if key in whole:
        private = whole[key](target, **budget, ipc=options.ipc, seed=seed)
        return private.distill(target, ledger=privacy.NO_LEDGER, seed=seed)
    method = dd.methods.build_method(key, ipc=options.ipc, preset="cpu").with_steps(options.questions)
    method = dd.override(method, "networks.architecture", parse_architecture(f"convnet(width={options.width})"))
    for setting in options.set:
        path, _, value = setting.partition("=")
        if path.startswith(f"{key}."):
            method = dd.override(method, path.removeprefix(f"{key}."), float(value) if "." in value else int(value))
    return privacy.privatize(method, **budget).distill(target, ledger=privacy.NO_LEDGER, seed=seed, progress=True)


def draw(results: list[dict[str, Any]], name: str, title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.5), layout="constrained")
    for key in dict.fromkeys(r["method"] for r in results):
        rows = sorted((r for r in results if r["method"] == key), key=lambda r: r["epsilon"])
        axes.errorbar(
            [r["epsilon"] for r in rows],
            [r["mean"] for r in rows],
            yerr=[r["ci95"] for r in rows],
            marker="o",
            label=key,
        )
    published = sorted((epsilon, value) for (data, epsilon), value in PUBLISHED.items() if data == name)
    if published:
        axes.plot(*zip(*published, strict=True), "k*--", label="psg, published")
    axes.set(xscale="log", xlabel="epsilon", ylabel="accuracy, %", title=f"{name}, {title.replace('_', ' ')}")
    axes.legend(fontsize="small")
    figure.savefig(RESULTS / f"{title}.png", dpi=110)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
