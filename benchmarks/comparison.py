"""The page that compares methods, docs/comparison.md, from the files of benchmarks/results.

``python -m benchmarks.comparison`` writes it. No number of it is typed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, markdown
from benchmarks.merging import Row, commit_of

PAGE = Path(__file__).parents[1] / "docs" / "comparison.md"
INTRODUCTION = """# Methods compared

Each table holds one kind of data at one budget, evaluated alike. Tables are sorted by their first score. **Bold** is the highest mean of a column, and every other one whose 95 % interval overlaps its interval: these runs do not tell
them apart. *Italics* are what all data give. Bytes are those of the stored summary; selected images are bytes, most optimised ones floats, so that equal numbers of
examples are not equal bytes.

This page is written by `python -m benchmarks.comparison`. What the runs show and do not show is told in the
[notes](../benchmarks/results/README.md)."""


@dataclass(frozen=True)
class Source:
    """A result file, and what of it is compared.

    Args:
        file: its name.
        data: what the methods distilled.
        budget: the row's fields that say the budget, and how it is written: one table for each.
        name: the field that says the method.
        scores: fields by the heading of their column.
        facts: fields by the heading of their column.
        spread: a field whose values become columns, each with the row's own mean.
        only: which rows count.
    """

    file: str
    data: str
    budget: dict[str, str] = field(default_factory=dict)
    name: str = "method"
    scores: dict[str, str] = field(default_factory=lambda: {"accuracy": "accuracy %"})
    facts: dict[str, str] = field(default_factory=dict)
    spread: str = ""
    only: Callable[[Row], bool] = lambda _: True


WHOLE = ("all rows", "all graphs", "whole graph", "all users")
"""What is no summary: the scores of all data, to compare with."""
STORED = {"bytes": "stored_bytes", "steps": "steps"}
MNIST = {"bytes": "bytes", "examples": "examples", "steps": "steps", "s": "distill s"}
GRAPHS = {"bytes": "bytes", "s": "condense s"}
PER_CLASS = {"ipc": "{} per class"}
EPSILON = {"epsilon": "epsilon {}"}
CONTINUAL = {"final": "final_accuracy", "average": "average_incremental_accuracy"}
ROWS = {"MLP": "mlp", "logistic regression": "sklearn:logistic-regression"}
ROWS |= {"nearest neighbour": "sklearn:k-neighbors(n_neighbors=1)", "boosted trees": "sklearn:hist-gradient-boosting"}

SOURCES = (
    Source(
        "digits", "Digits", PER_CLASS, scores={p: p for p in ("dc", "dsa", "quick")}, facts=STORED, spread="protocol"
    ),
    Source(
        "digits_convnet_width_32_100",
        "Digits, 100 steps of each",
        PER_CLASS,
        scores={"quick": "quick"},
        facts=STORED,
        spread="protocol",
    ),
    Source("ncfm_digits", "Digits, characteristic functions", PER_CLASS, name="variant", facts={"s": "s each"}),
    Source(
        "factorization_matrix_digits",
        "Digits, factorizations",
        {"table": "equal {}"},
        name="factorization",
        scores={p: p for p in ("distribution", "gradient", "trajectory", "meta-model")},
        facts={"bytes": "stored_bytes", "per class": "examples_per_class"},
        spread="family",
    ),
    Source("mnist_methods", "MNIST, six minutes", PER_CLASS, facts=MNIST),
    Source("mnist_methods_convnet_width_32", "MNIST, two minutes, a narrow network", PER_CLASS, facts=MNIST),
    Source("mnist_methods_convnet_width_32_by_bytes", "MNIST, equal bytes", {"budget": "{} bytes"}, facts=MNIST),
    Source(
        "fair",
        "CIFAR-10, under three kinds of labels",
        PER_CLASS,
        scores={"hard labels": "hard", "soft labels": "fixed-soft", "a teacher": "teacher"},
        facts={"bytes": "bytes of images", "steps": "steps", "s": "seconds"},
    ),
    Source("tables", "Tables", {"data": "{}", "ipc": "{} per class"}, scores=ROWS, facts={"steps": "steps"}),
    Source("graphs_cora", "Cora", {"ratio": "ratio {}"}, facts=GRAPHS),
    Source("graph_sets_mutag", "MUTAG", {"per class": "{} per class"}, facts=GRAPHS),
    Source("graph_sets_nci1", "NCI1", {"per class": "{} per class"}, facts=GRAPHS),
    Source(
        "text_smsspamcollection",
        "SMS spam",
        {"per class": "{} per class"},
        "trained on",
        {"macro F1": "macro F1 %", "accuracy": "accuracy %"},
        {"bytes": "bytes", "s": "distill s"},
        only=lambda row: row["network"] == "textcnn",
    ),
    Source(
        "text_banking77",
        "Banking77",
        {"per class": "{} per class"},
        "trained on",
        {"accuracy": "accuracy %"},
        {"bytes": "bytes", "s": "distill s"},
    ),
    Source(
        "recommender_ml_latest_small",
        "MovieLens-latest-small",
        {"model": "{}"},
        "trained on",
        {"nDCG@10": "ndcg@10", "HR@10": "hr@10"},
        {"bytes": "bytes", "s": "distill s"},
        only=lambda row: not row["trained on"].startswith("flipped"),
    ),
    Source("privacy", "Digits under differential privacy", EPSILON, facts={"s": "seconds"}),
    Source("privacy_mnist_20_per_class", "MNIST under differential privacy", EPSILON, scores={"accuracy": ""}),
    Source(
        "privacy_fashion_mnist_20_per_class",
        "Fashion-MNIST under differential privacy",
        EPSILON,
        scores={"accuracy": ""},
    ),
    *(
        Source(
            f"continual_{data}_per_class_5",
            f"Continual learning, {title} per class",
            {},
            "name",
            CONTINUAL,
            {"bytes": "memory_bytes"},
        )
        for data, title in {
            "digits_1": "digits, 1",
            "digits_10": "digits, 10",
            "fashion_mnist_10": "Fashion-MNIST, 10",
            "cifar10_10": "CIFAR-10, 10",
        }.items()
    ),
    *(
        Source(
            f"continual_{data}_per_class_5",
            f"Continual learning, {title} per class, real images through the codec",
            {},
            "name",
            {"final": "final_accuracy"},
            {"bytes": "memory_bytes"},
        )
        for data, title in {
            "fashion_mnist_785B": "Fashion-MNIST, 785 bytes",
            "mnist_785B": "MNIST, 785 bytes",
            "mnist_7850B": "MNIST, 7850 bytes",
            "fashion_mnist_7850B": "Fashion-MNIST, 7850 bytes",
            "cifar10_3073B": "CIFAR-10, 3073 bytes",
        }.items()
    ),
)


def score(row: Row, name: str) -> tuple[float, float] | None:
    """Return a mean and half the width of its interval, however the file writes them."""
    said = row if name == "" else row.get("scores", row).get(name)
    if isinstance(said, dict):
        return float(said["mean"]), float(said["ci95"])
    parts = re.fullmatch(r"([\d.]+) ± ([\d.]+)", str(said))
    return (float(parts[1]), float(parts[2])) if parts else None


def spread(rows: Iterable[Row], source: Source) -> list[Row]:
    """Join rows that differ in one field alone, whose values become columns."""
    joined: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        key = (row[source.name], *(row[name] for name in source.budget))
        joined.setdefault(key, dict(row))[row[source.spread]] = {"mean": row["mean"], "ci95": row["ci95"]}
    return list(joined.values())


def table(rows: list[Row], source: Source) -> str:
    """Return rows of one budget as a table: the highest first score at its top, all data below."""
    scores = {title: [score(row, name) for row in rows] for title, name in source.scores.items()}
    scores = {title: found for title, found in scores.items() if any(found)}
    whole = [str(row[source.name]) in WHOLE for row in rows]
    leaders = {
        title: max(one for i, one in enumerate(found) if one and not whole[i]) for title, found in scores.items()
    }
    first = next(iter(scores.values()))
    lines = []
    for i in sorted(range(len(rows)), key=lambda i: (not whole[i], first[i] or (-1.0, 0.0)), reverse=True):
        shown = {title: written(found[i], None if whole[i] else leaders[title]) for title, found in scores.items()}
        facts = {title: rows[i].get(name, "") for title, name in source.facts.items()}
        lines.append({"": label(str(rows[i][source.name]))} | shown | facts)
    return markdown(lines)


def label(name: str) -> str:
    """Return a name as code if it is a method's, what all data give in italics."""
    if name in WHOLE:
        return f"*{name}*"
    return f"`{name}`" if re.fullmatch(r"[a-z_0-9]+", name) else name


def written(found: tuple[float, float] | None, leader: tuple[float, float] | None) -> str:
    """Return a score, bold where it is the leader or overlaps it."""
    if found is None:
        return ""
    text = f"{found[0]:.1f} ± {found[1]:.1f}"
    return f"**{text}**" if leader is not None and sum(found) >= leader[0] - leader[1] else text


def section(source: Source) -> str:
    """Return what a file says: where it was measured, then a table for each budget."""
    content = json.loads((RESULTS / f"{source.file}.json").read_text())
    rows = [row for row in content["results"] if source.only(row)]
    rows = spread(rows, source) if source.spread else rows
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in source.budget), []).append(row)
    parts = [f"## {source.data}", provenance(source.file, content)]
    for key, group in groups.items():
        if len(group) > 1:
            title = ", ".join(f.format(value) for f, value in zip(source.budget.values(), key, strict=True))
            title = re.sub(r"^total:(.*) per class$", r"\1 in all", title)
            parts += [f"**{title}**"] * bool(title) + [table(group, source)]
    return "\n\n".join(parts)


def provenance(file: str, content: dict[str, Any]) -> str:
    """Return the links, machine, versions, commits and budget of a file."""
    machine, folder = content["machine"], f"../{RESULTS.relative_to(PAGE.parents[1]).as_posix()}"
    commits = dict.fromkeys(row.get("commit", commit_of(machine)) for row in content["results"])
    where = f"{machine['gpu'] or machine['processor']}, python {machine['python']}, torch {machine['torch']}"
    spent = ", ".join(f"{name} {value}" for name, value in content["budget"].items() if value is not None)
    return (
        f"[Table]({folder}/{file}.md), [every number]({folder}/{file}.json). Measured on `{where}`, {machine['date']},"
        f" commit {', '.join(commits)}. Budget: `{spent}`."
    )


def page() -> str:
    """Return the page."""
    return "\n\n".join([INTRODUCTION, *map(section, SOURCES)]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
