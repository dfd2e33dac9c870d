"""Distilled sentences, embedded and in words, beside chosen ones of equal number and equal bytes.

python -m benchmarks.text

Data are those of ``--data`` and ``--embeddings``, or SMS messages and GloVe's vectors below the
folder ``DDCORE_DATA``.

Every seed has a split, or where the data have one a condensation, of its own. Networks are trained
on each. Rows of an earlier call at the same settings are kept; ``--earlier drop`` measures anew
where results are recorded already.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import fetched, markdown
from benchmarks.merging import MergedRows, merge_argument
from ddcore.evaluation import mean_std_ci95
from ddcore.text import ProjectedWords

SMS, GLOVE = "SMSSpamCollection", "glove*50d*"
TRANSFER = ("bilstm", "tiny-transformer")
ORDER = ("embedded", "rounded words", "projected words", "random", "herding", "k_center", "all sentences")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help=f"sentences with a class (default: {SMS})")
    parser.add_argument("--embeddings", help=f"word vectors (default: {GLOVE})")
    parser.add_argument("--ipc", default="1,5,20", help="sentences per class; total:40 is 40 for all classes")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3, help="networks trained on each")
    parser.add_argument("--rows", default="distilled,projected,selections,transfer,full")
    parser.add_argument("--split", default="test", help="validation: to choose settings")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=NUMBER", help="of sucholutsky")
    merge_argument(parser)
    options = parser.parse_args()
    options.data = options.data or fetched(SMS, "https://archive.ics.uci.edu/dataset/228/sms+spam+collection")
    options.embeddings = options.embeddings or fetched(GLOVE, "https://nlp.stanford.edu/projects/glove/")
    targets = [
        dd.load_data(options.data, embeddings=options.embeddings, validation=0.1, seed=seed)
        for seed in range(options.seeds)
    ]
    budget = {
        "preset": "cpu",
        "settings": " ".join(options.set) or "of the preset",
        "seeds": options.seeds,
        "networks": options.runs,
        "threads": torch.get_num_threads(),
    }
    name = Path(options.data).stem.lower()
    title = f"text_{name}" if options.split == "test" else f"text_{name}_{options.split}"
    rows = MergedRows(title, budget, ("per class", "trained on", "network"), options.earlier)
    for ipc in options.ipc.split(","):
        for row in every_row(targets, int(ipc) if ipc.isdecimal() else ipc, options):
            rows.write([row], order, markdown)
    if "full" in options.rows.split(","):
        rows.write([scored("all sentences", "all", targets, list(targets), 0.0, options)], order, markdown)


def every_row(targets: list[dd.TargetData], ipc: Any, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    wanted = options.rows.split(",")
    if "distilled" in wanted:
        made, seconds = distilled(targets, ipc, options, words=False)
        yield scored("embedded", ipc, targets, made, seconds, options)
        yield scored("rounded words", ipc, targets, [s.quantize("words") for s in made], seconds, options)
        for network in TRANSFER if "transfer" in wanted else ():
            yield scored("embedded", ipc, targets, made, seconds, options, network)
        if "selections" in wanted:
            like = [equal_bytes(t, "random", s.stored_bytes, seed) for seed, (t, s) in paired(targets, made)]
            yield scored("random, bytes of embedded", ipc, targets, like, 0.0, options)
    if "projected" in wanted:
        made, seconds = distilled(targets, ipc, options, words=True)
        yield scored("projected words", ipc, targets, made, seconds, options)
        for network in TRANSFER if "transfer" in wanted else ():
            yield scored("projected words", ipc, targets, made, seconds, options, network)
        if "selections" in wanted:
            for rule in ("random", "herding", "k_center"):
                like = [equal_bytes(t, rule, s.stored_bytes, seed) for seed, (t, s) in paired(targets, made)]
                yield scored(f"{rule}, bytes of projected", ipc, targets, like, 0.0, options)
    if "selections" in wanted and not isinstance(ipc, str):
        for rule in ("random", "herding", "k_center"):
            chosen = [selected(t, rule, ipc, seed) for seed, t in enumerate(targets)]
            yield scored(f"{rule}, equal number", ipc, targets, chosen, 0.0, options)


def paired(targets: list[dd.TargetData], made: list[dd.DataSummary]) -> Iterator[tuple[int, Any]]:
    return enumerate(zip(targets, made, strict=True))


def distilled(
    targets: list[dd.TargetData], ipc: Any, options: argparse.Namespace, *, words: bool
) -> tuple[list[dd.DataSummary], float]:
    made, started = [], time.monotonic()
    for seed, target in enumerate(targets):
        method = dd.methods.build_method("sucholutsky", ipc=ipc, preset="cpu", target=target)
        if words:
            method = dd.override(method, "factorization", ProjectedWords(ipc=ipc, labels="soft"))
        for pair in options.set:
            key, _, value = pair.partition("=")
            method = dd.override(method, key, float(value) if "." in value else int(value))
        made.append(dd.distill(target, method, seed=seed))
    return made, (time.monotonic() - started) / len(targets)


def selected(target: dd.TargetData, rule: str, ipc: Any, seed: int) -> dd.DataSummary:
    return dd.distill(target, dd.methods.build_method(rule, ipc=ipc, preset="cpu", target=target), seed=seed)


def equal_bytes(target: dd.TargetData, rule: str, nbytes: int, seed: int) -> dd.DataSummary:
    """Return as many chosen sentences per class as take ``nbytes``, one at least."""
    each = target.spec.input_shape[0] * target.spec.id_type.itemsize + 1  # type: ignore[attr-defined]
    return selected(target, rule, f"clip:{max(1, nbytes // (each * len(target.spec.classes)))}", seed)


def scored(
    title: str,
    ipc: Any,
    targets: list[dd.TargetData],
    sources: list[Any],
    distilling: float,
    options: argparse.Namespace,
    network: str = "textcnn",
) -> dict[str, Any]:
    found: dict[str, list[float]] = {}
    for seed, (target, source) in enumerate(zip(targets, sources, strict=True)):
        report = dd.evaluate(
            source, target, networks=network, protocol="quick", runs=options.runs, seed=seed, split=options.split
        )
        for name, values in report.results[0].scores.items():
            found.setdefault(name, []).append(sum(values) / len(values))
    sizes = [s.stored_bytes if isinstance(s, dd.DataSummary) else 0 for s in sources]
    return {
        "per class": ipc,
        "trained on": title,
        "network": network,
        "bytes": round(sum(sizes) / len(sizes)) or "",
        "accuracy %": shown(found["accuracy"]),
        "macro F1 %": shown(found["macro_f1"]),
        "distill s": round(distilling) or "",
        "seeds": [round(value, 2) for value in found["accuracy"]],
    }


def shown(values: list[float]) -> str:
    mean, _, ci95 = mean_std_ci95(values)
    return f"{mean:.2f} ± {ci95:.2f}"


def order(row: dict[str, Any]) -> tuple[float, int]:
    ipc = row["per class"]
    place = float("inf") if ipc == "all" else 0.0 if isinstance(ipc, str) else float(ipc)
    return place, ORDER.index(row["trained on"].partition(",")[0])


if __name__ == "__main__":
    main()
