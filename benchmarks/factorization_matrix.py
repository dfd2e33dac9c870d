"""Every factorization under every matching family, at equal stored bytes.

It is measured again at an equal number of examples. Numbers are stored in one byte each,
everywhere. Cells of an earlier call at the same budget are kept, so long runs can be made in parts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import ddcore as dd
from benchmarks.common import RESULTS, data_argument, load_or_explain, markdown
from benchmarks.merging import MergedRows, merge_argument
from ddcore.methods import compose

FACTORIZATIONS = {
    "pixels": "pixels(storage=uint8)",
    "multi-formation": "multi-formation(storage=uint8)",
    "generator-latents": "generator-latents(generator.latent=8,storage=uint8)",
    "linear-bases": "linear-bases(storage=uint8)",
    "hallucinators": "hallucinators(hallucinators=2,storage=uint8)",
    "latent-codes": "latent-codes(storage=uint8)",
    "frequencies": "frequencies(storage=uint8)",
}
FAMILIES = ("gradient", "distribution", "trajectory", "meta-model")
STEPS = {"gradient": 100, "distribution": 400, "trajectory": 100, "meta-model": 45}
DEFAULT = dd.Budget(2560)
KEY = ("table", "factorization", "family")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data_argument(parser, "digits")
    parser.add_argument("--bytes", type=dd.Budget.parse, default=DEFAULT, help="stored by every summary, at most")
    parser.add_argument(
        "--examples", type=int, default=9, help="per class in the second table, whose family is distribution"
    )
    parser.add_argument("--factorizations", default=",".join(FACTORIZATIONS))
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--tables", default="bytes,examples")
    parser.add_argument("--network", default="convnet(width=32)", help="for distillation and evaluation")
    parser.add_argument("--runs", type=int, default=3, help="distillations per cell, each of its own seed")
    parser.add_argument("--networks", type=int, default=2, help="networks trained on each")
    parser.add_argument(
        "--split", default="test", help="test, or validation for choosing settings: nothing is written then"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting of every method"
    )
    merge_argument(parser)
    options = parser.parse_args()
    validation = 0.2 if options.split == "validation" else 0.0
    target = load_or_explain(options.data, validation=validation)
    budget = {
        "bytes": options.bytes.bytes,
        "network": options.network,
        "protocol": "quick",
        "runs": options.runs,
        "networks": options.networks,
    }
    rows = merged(target, budget, options.earlier) if options.split == "test" else None
    with TemporaryDirectory() as place:
        experts = f"{place}/experts"
        for table in options.tables.split(","):
            families = options.families.split(",") if table == "bytes" else ["distribution"]
            for family in families:
                if family == "trajectory":
                    train_experts(target, experts, options.network)
                for factorization in options.factorizations.split(","):
                    row = measure(target, table, factorization, family, options, experts)
                    report(row, rows)


def train_experts(target: dd.TargetData, directory: str, network: str) -> None:
    """Train the experts that all trajectory cells follow; a second call finds them."""
    source = compose("trajectory", "pixels", preset="cpu", data=target.name).networks
    assert isinstance(source, dd.sources.ExpertSegments)
    dd.train_experts(target, directory, network=network, training=source.training, count=source.count or 10)


def build(target: dd.TargetData, table: str, factorization: str, family: str, options: argparse.Namespace) -> dd.Method:
    """Return the method of a cell: at the byte budget, or with a number of examples per class."""
    text = FACTORIZATIONS[factorization]
    if target.spec.shape[-1] < 16 and factorization == "linear-bases":
        text = text.replace("(", "(factor=1,")
    first = compose(family, text, preset="cpu", data=target.name)
    sized = options.bytes.fit(first, target).factorization
    if table == "examples":
        # Shared parts as the byte budget has them; items for as many examples per class.
        each = sum(sized.counts_for(target.counts()).values()) // (largest(sized) * len(target.spec.classes))
        sized = dd.override(sized, "ipc", max(1, options.examples // each))
    method = compose(family, sized, preset="cpu", data=target.name).on_networks(options.network)
    return method.with_steps(STEPS[family])


def largest(factorization: dd.factorization.Factorization) -> int:
    return dd.factorization.largest_ipc(factorization.ipc)  # type: ignore[attr-defined]


def measure(
    target: dd.TargetData, table: str, factorization: str, family: str, options: argparse.Namespace, experts: str
) -> dict[str, Any]:
    """Distil with several seeds, train networks on each summary; return a row."""
    method = build(target, table, factorization, family, options)
    for pair in options.set:
        path, _, value = pair.partition("=")
        method = dd.override(method, path, float(value))
    if isinstance(method.networks, dd.sources.ExpertSegments):
        method = replace(method, networks=replace(method.networks, directory=experts, count=None))
    accuracies, seconds, started = [], [], time.monotonic()
    for seed in range(options.runs):
        summary = dd.distill(target, method, seed=seed)
        seconds.append(float(summary.record["seconds"]))
        report = dd.evaluate(
            summary,
            target,
            networks=options.network,
            protocol="quick",
            runs=options.networks,
            seed=seed,
            split=options.split,
        )
        accuracies.extend(report.results[0].accuracies)
    stored = dd.storage(summary, target)
    mean, std, ci95 = dd.evaluation.mean_std_ci95(accuracies)
    return {
        "table": table,
        "factorization": factorization,
        "family": family,
        "mean": mean,
        "std": std,
        "ci95": ci95,
        "accuracies": accuracies,
        "examples_per_class": summary.ipc,
        "stored_bytes": stored.stored,
        "compressed_bytes": stored.compressed,
        "steps": method.steps,
        "settings": dd.describe(method.factorization),
        "distill_seconds": seconds,
        "seconds": time.monotonic() - started,
        "threads": torch.get_num_threads(),
    }


def merged(target: dd.TargetData, budget: dict[str, Any], earlier: str | None) -> MergedRows:
    """Return the rows of this budget, named for it; what the original takes stands beside it."""
    name = f"factorization_matrix_{target.name.replace('-', '_')}"
    if budget["bytes"] != DEFAULT.bytes:
        name += f"_{budget['bytes']}_bytes"
    original = dd.storage(dd.distill(target, dd.methods.random(ipc=1)), target, compress_original=True)
    facts = {"original bytes": original.original, "original compressed": original.original_compressed}
    return MergedRows(name, budget | facts, KEY, earlier)


def report(row: dict[str, Any], rows: MergedRows | None) -> None:
    """Write the row beside those that are there; print it alone if there are none."""
    if rows is None:
        facts = f"{row['factorization']:>18} {row['family']:>13} {row['table']:>8}"
        print(
            f"{facts} {row['mean']:6.2f} ± {row['ci95']:.2f} {row['examples_per_class']:>5} per class {row['stored_bytes']} bytes {row['seconds']:.0f} s",
            flush=True,
        )
        return
    heat_map(rows.write([row], order, tables), rows.name)


def order(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["table"], list(FACTORIZATIONS).index(row["factorization"]), row["family"]


def tables(rows: Sequence[dict[str, Any]]) -> str:
    """Return both tables.

    Accuracies by factorization and family, and what an equal number of examples costs.
    """
    by_bytes = [r for r in rows if r["table"] == "bytes"]
    first: dict[str, dict[str, Any]] = {}
    for row in by_bytes:
        sizes = {
            "factorization": row["factorization"],
            "per class": row["examples_per_class"],
            "bytes": row["stored_bytes"],
            "compressed": row["compressed_bytes"],
        }
        line = first.setdefault(row["factorization"], sizes | dict.fromkeys(FAMILIES, ""))
        line[row["family"]] = f"{row['mean']:.1f} ± {row['ci95']:.1f}"
    second = [
        {
            "factorization": r["factorization"],
            "per class": r["examples_per_class"],
            "bytes": r["stored_bytes"],
            "compressed": r["compressed_bytes"],
            r["family"]: f"{r['mean']:.1f} ± {r['ci95']:.1f}",
        }
        for r in rows
        if r["table"] == "examples"
    ]
    parts = [markdown(list(first.values()))] if first else []
    return "\n\n".join([*parts, *([markdown(second)] if second else [])])


def heat_map(rows: Sequence[dict[str, Any]], name: str) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    values = np.full((len(FACTORIZATIONS), len(FAMILIES)), np.nan)
    for row in rows:
        if row["table"] == "bytes":
            values[list(FACTORIZATIONS).index(row["factorization"]), FAMILIES.index(row["family"])] = row["mean"]
    if np.isnan(values).all():
        return
    figure, axes = plt.subplots(figsize=(6, 4.5))
    axes.imshow(values, cmap="viridis", aspect="auto")
    axes.set_xticks(range(len(FAMILIES)), FAMILIES)
    axes.set_yticks(range(len(FACTORIZATIONS)), FACTORIZATIONS)
    low, high = np.nanmin(values), np.nanmax(values)
    for (i, j), value in np.ndenumerate(values):
        if not np.isnan(value):
            colour = "black" if value > (low + high) / 2 else "white"
            axes.text(j, i, f"{value:.1f}", ha="center", va="center", color=colour)
    axes.set_title("test accuracy in percent, at equal stored bytes")
    figure.tight_layout()
    figure.savefig(RESULTS / f"{name}.png", dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
