"""What a page tells of a summary in short facts: head figures, bytes, settings, provenance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ddcore.citations import ENTRIES, cite
from ddcore.ground import counted, duration, interval
from ddcore.report.chapter import Chapter
from ddcore.report.figures import score_title
from ddcore.report.words import size

Fact = tuple[str, str]
LONGEST = 300


def subtitle(chapter: Chapter) -> str:
    """Return in one line what the summary is."""
    summary, record = chapter.summary, chapter.summary.record
    kinds = ", ".join(dict.fromkeys(part.factorization.name.replace("_", " ") for part in summary.parts))
    classes = f" of {len(summary.counts)} classes" if len(summary.counts) > 1 else ""
    return f"{counted(len(summary), 'example')}{classes} of {record.get('data', 'a dataset')}, stored as {kinds}"


def head_figures(chapter: Chapter) -> list[tuple[str, str, str]]:
    """Return a title, a value and a remark for each of the figures that come first."""
    ours, sizes, seconds = chapter.measured.ours, chapter.sizes, chapter.summary.record.get("seconds")
    first = ours.results[0]
    found = [(score_title(ours), interval(first.to_json()), f"{first.network}, {counted(len(first.values), 'run')}")]
    for rule, statistics in chapter.measured.over().items():
        remark = "at equal bytes" if len(ours.results) == 1 else "at equal bytes, all networks"
        found.append((f"over {rule}", interval(statistics, signed=True), remark))
    found.append(("stored", size(sizes.stored), f"{sizes.share:.2%} of the original"))
    if isinstance(seconds, int | float):
        steps = chapter.summary.record.get("steps")
        found.append(("distilled in", duration(seconds), counted(steps, "step") if isinstance(steps, int) else ""))
    return found


def bytes_of(chapter: Chapter) -> list[Fact]:
    """Return what the summary takes, beside the original."""
    sizes, labels = chapter.sizes, chapter.summary.label_bytes
    found = [
        ("stored", f"{sizes.stored} bytes"),
        ("after lossless compression", f"{sizes.compressed} bytes"),
        ("the original's training split", f"{sizes.original} bytes"),
        ("share of the original", f"{sizes.share:.3%}"),
        ("examples per class", f"{sizes.examples_per_class:g}"),
    ]
    return found + ([("of it labels beside the examples", f"{labels} bytes")] if labels else [])


def provenance(chapter: Chapter) -> list[Fact]:
    """Return where the summary comes from, as its record says."""
    record = chapter.summary.record
    machine, versions = record.get("machine"), record.get("versions")
    known = {True: "yes, by their hash", False: "no: their hash is another", None: "the record does not say"}
    found = [
        ("data", record.get("data")),
        ("SHA-256 of the data", record.get("data_sha256")),
        ("measured on the same data", known[chapter.same_data]),
        ("SHA-256 of the examples", chapter.summary.sha256()),
        ("seed", record.get("seed")),
        ("steps", record.get("steps")),
        ("seconds", record.get("seconds")),
        ("precision", record.get("precision")),
        ("device", record.get("device")),
        ("machine", _pairs(machine)),
        ("versions", _pairs(versions)),
    ]
    return [(name, _text(value)) for name, value in found if value not in (None, "")]


def settings(chapter: Chapter) -> list[Fact]:
    """Return the settings of the method by their paths, as the record has them."""
    return [(path, _text(value)) for path, value in _leaves(chapter.summary.record.get("method", {}))]


def certificate(chapter: Chapter) -> list[Fact]:
    """Return what the summary's certificate of privacy claims; empty where it has none."""
    claim = chapter.summary.record.get("privacy")
    return [(name, _text(value)) for name, value in claim.items()] if isinstance(claim, Mapping) else []


def citations(chapter: Chapter) -> str:
    """Return BibTeX; what a stranger's record cites and nobody knows is left out."""
    record = chapter.summary.record
    known = [key for key in record.get("cites", []) if key in ENTRIES]
    return cite(replace(chapter.summary, record={**record, "cites": known}))


def measuring(chapter: Chapter) -> list[Fact]:
    """Return how the scores were measured."""
    details, ours = chapter.measured.ours.details, chapter.measured.ours
    tested = details.get("tested_on", {})
    return [
        ("protocol", ours.protocol),
        ("tested on", f"{tested.get('examples')} examples, {tested.get('split')} split of {tested.get('data')}"),
        ("labels", str(details.get("labels"))),
        ("seed", str(details.get("seed"))),
        ("precision and device", f"{details.get('precision')}, {details.get('device')}"),
        ("seconds", duration(sum(r.seconds for r in ours.results))),
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    else:
        yield path, value


def _pairs(value: Any) -> str:
    return ", ".join(f"{name} {inner}" for name, inner in value.items()) if isinstance(value, Mapping) else ""


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
