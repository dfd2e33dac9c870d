"""Distances of distribution matching beside each other, and `ncfm`, at equal steps.

Rows ``dm with ...`` are preset ``cpu`` of `dm`; only the distance and the learning rate differ.
Each row's rate is the one of ``--rates`` with the highest accuracy on a validation split (seed 0).

python -m benchmarks.ncfm --data digits --width 16 --steps 100
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import data_argument, load_or_explain, markdown
from benchmarks.merging import MergedRows, merge_argument
from ddcore.matching import CharacteristicFunction, FrequencySampler

CHANCE = CharacteristicFunction(frequencies=512)
VARIANTS: dict[str, dict[str, object]] = {
    "dm": {},
    "dm with characteristic functions": {"matching.distance": CHANCE},
    "dm with characteristic functions, sampler": {
        "matching.distance": replace(CHANCE, frequencies=64, sampler=FrequencySampler()),
        "optimiser.group_learning_rates": {"frequencies": 1e-3},
    },
    "ncfm": {},
    "ncfm with tiles": {"factorization.factor": 2},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data_argument(parser, "digits")
    parser.add_argument("--variants", default=";".join(VARIANTS), help="separated by ;")
    parser.add_argument("--ipcs", default="1,10")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--real", type=int, default=64, help="real examples per class and step")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--rates", default=".01,.03,.1", help="of Adam")
    parser.add_argument("--protocol", default="dc")
    parser.add_argument("--seeds", type=int, default=3, help="distillations, of one network each")
    merge_argument(parser)
    options = parser.parse_args()
    name = Path(options.data).stem
    budget = {
        "steps": options.steps,
        "real": options.real,
        "network": f"convnet(width={options.width})",
        "rates tried": options.rates,
        "protocol": options.protocol,
        "threads": torch.get_num_threads(),
    }
    rows = MergedRows(f"ncfm_{name}", budget, ("variant", "ipc"), options.earlier)
    carved = load_or_explain(options.data, validation=0.2)
    whole = load_or_explain(options.data)
    for ipc in map(int, options.ipcs.split(",")):
        for variant in options.variants.split(";"):
            row = measure(variant, ipc, carved, whole, options)
            rows.write([row], lambda r: (r["ipc"], list(VARIANTS).index(r["variant"])), table)


def table(rows: list[dict[str, Any]]) -> str:
    return markdown([{k: v for k, v in row.items() if k != "accuracies"} for row in rows])


def measure(
    variant: str, ipc: int, carved: dd.TargetData, whole: dd.TargetData, options: argparse.Namespace
) -> dict[str, Any]:
    def accuracy(target: dd.TargetData, rate: float, seed: int, split: str) -> tuple[float, float]:
        network = f"convnet(width={options.width})"
        method = dd.methods.build_method(
            "ncfm" if variant.startswith("ncfm") else "dm", ipc=ipc, preset="cpu", target=target
        )
        method = replace(
            method.on_networks(network).with_steps(options.steps), optimiser=dd.Optimiser("adam", learning_rate=rate)
        )
        for path, value in {"matching.real_batch": options.real, **VARIANTS[variant]}.items():
            method = dd.override(method, path, value)
        summary = dd.distill(target, method, seed=seed)
        found = dd.evaluate(
            summary, target, networks=network, protocol=options.protocol, runs=1, seed=seed, split=split
        )
        return float(found.results[0].mean), float(summary.record["seconds"])

    rates = [float(rate) for rate in options.rates.split(",")]
    chosen = max(rates, key=lambda rate: accuracy(carved, rate, 0, "validation")[0])
    measured = [accuracy(whole, chosen, seed, "test") for seed in range(options.seeds)]
    mean, std, ci95 = dd.evaluation.mean_std_ci95([score for score, _ in measured])
    return {
        "variant": variant,
        "ipc": ipc,
        "rate": chosen,
        "accuracy %": f"{mean:.1f} ± {ci95:.1f}",
        "std": f"{std:.1f}",
        "s each": f"{sum(seconds for _, seconds in measured) / len(measured):.0f}",
        "accuracies": [score for score, _ in measured],
    }


if __name__ == "__main__":
    main()
