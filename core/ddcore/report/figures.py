"""Charts with what stands around them: a title, a text alternative, and the same as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ddcore.callbacks import spread
from ddcore.evaluation import Report
from ddcore.ground import interval
from ddcore.report import charts
from ddcore.report.course import Course
from ddcore.report.measured import SELECTIONS, Scores, difference
from ddcore.report.words import ends, size

if TYPE_CHECKING:
    from ddcore.report.chapter import Chapter

OURS = charts.KINDS[0]
TABLE_ROWS = 12
LABEL_APART = 0.045
"""Least distance of two labels of a chart, as a share of its height."""


@dataclass(frozen=True)
class Figure:
    """A chart of the page.

    Attributes:
        name: tells it from others of the page.
        title: over it.
        says: its text alternative.
        chart: a Vega specification.
        columns, rows: the same numbers as a table; the first column is a row's head.
        note: a sentence below.
    """

    name: str
    title: str
    says: str
    chart: dict[str, Any]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def loss_figure(name: str, course: Course) -> Figure | None:
    """Return the curve of the loss; None where no losses were kept."""
    points = course.curve()
    if not points:
        return None
    first, last = points[0], points[-1]
    least = min(points, key=lambda point: point["loss"])
    lost = len(course.losses) - sum(1 for _, loss in course.losses if loss - loss == 0)
    return Figure(
        name=f"{name}-loss",
        title="Loss",
        says=f"The loss went from {first['loss']:.4g} at step {first['step']} to {last['loss']:.4g} at step "
        f"{last['step']}; its least was {least['loss']:.4g} at step {least['step']}.",
        chart=charts.losses(points),
        columns=("step", "loss", "least", "greatest"),
        rows=tuple(
            (str(p["step"]), f"{p['loss']:.4g}", f"{p['low']:.4g}", f"{p['high']:.4g}")
            for p in (points[place - 1] for place in spread(TABLE_ROWS, len(points)))
        ),
        note=f"{lost} steps without a finite loss are left out." if lost else "",
    )


def score_title(report: Report) -> str:
    """Return the name of the main score and its unit."""
    from ddcore.evaluation.report import score_title as titled

    return titled(report.results)


def scores_figure(name: str, measured: Scores) -> Figure:
    """Return the scores beside those of selections, network by network."""
    title = score_title(measured.ours)
    reports = {OURS: measured.ours, **measured.beside}
    several = len(measured.ours.results) > 1
    marks, runs, domain, table = [], [], [], []
    networks = dict.fromkeys(result.network for report in reports.values() for result in report.results)
    for number, network in enumerate(networks):
        domain += [f"{number}{charts.HEAD}{network}"] if several else []
        for kind, report in reports.items():
            for result in (r for r in report.results if r.network == network):
                statistics, row = result.to_json(), f"{number}|{kind}"
                low, high = ends(statistics)
                says = f"{network}, {kind}: {interval(statistics)}"
                marks.append({"row": row, "kind": kind, "mean": result.mean, "low": low, "high": high, "says": says})
                runs += [{"row": row, "value": value} for value in result.values]
                domain.append(row)
                table.append((kind, network, interval(statistics), str(len(result.values)), _count(measured, kind)))
    said = "; ".join(str(mark["says"]) for mark in marks)
    return Figure(
        name=f"{name}-scores",
        title="Beside real examples, on several networks" if several else "Beside real examples of equal bytes",
        says=f"{title}, mean and 95 % interval. {said}.",
        chart=charts.scores(marks, runs, domain, title),
        columns=("trained on", "network", title, "runs", "examples"),
        rows=tuple(table),
        note="A mark is the mean, its line the 95 % interval of the mean, a tick one trained network."
        + (" Selections of real examples take as many bytes." if several and measured.beside else ""),
    )


def _count(measured: Scores, kind: str) -> str:
    return str(measured.examples[kind]) if kind in measured.examples else "—"


def bytes_figure(chapters: Sequence[Chapter]) -> Figure:
    """Return scores against bytes of several summaries and of the selections beside them."""
    rows, table, title = [], [], score_title(chapters[0].measured.ours)
    for chapter in chapters:
        for kind, report in {OURS: chapter.measured.ours, **chapter.measured.beside}.items():
            statistics = report.results[0].to_json()
            low, high = ends(statistics)
            label = chapter.title if kind == OURS else ""
            says = f"{label or kind}: {interval(statistics)} at {size(report.stored_bytes)}"
            point = {"bytes": report.stored_bytes, "kind": kind, "mean": statistics["mean"], "low": low, "high": high}
            rows.append({**point, "label": label, "says": says})
            table.append((label or f"{kind} beside {chapter.title}", str(report.stored_bytes), interval(statistics)))
    _place_labels(rows)
    said = "; ".join(str(row["says"]) for row in rows if row["label"])
    return Figure(
        name="all-bytes",
        title=f"{title.capitalize()} against bytes",
        says=f"{title}, mean and 95 % interval, against stored bytes. {said}.",
        chart=charts.bytes_and_scores(rows, title),
        columns=("trained on", "stored bytes", title),
        rows=tuple(dict.fromkeys(table)),
        note=f"Of {chapters[0].measured.ours.results[0].network}. \N{BLACK DIAMOND} summary, \N{WHITE CIRCLE} random, \N{WHITE SQUARE} herding.",
    )


def _place_labels(rows: list[dict[str, Any]]) -> None:
    """Give every row the height ``at`` of its label, so that labels do not touch."""
    span = max(r["high"] for r in rows) - min(r["low"] for r in rows) or 1.0
    before: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda r: r["mean"]):
        row["at"] = row["mean"]
        if row["label"]:
            near = [b["at"] for b in before if 1 / 3 < b["bytes"] / row["bytes"] < 3]
            row["at"] = max([row["mean"], *(at + LABEL_APART * span for at in near)])
            before.append(row)


def differences_figure(chapters: Sequence[Chapter]) -> Figure | None:
    """Return all pairwise differences of several summaries; None where no two are paired."""
    title = score_title(chapters[0].measured.ours)
    rows, table = [], []
    for number, (one, other) in enumerate(combinations(chapters, 2)):
        statistics, row = difference(one.measured.ours, other.measured.ours), f"{one.title} minus {other.title}"
        if statistics is None:
            table.append((row, "not paired: other networks or runs", "—"))
            continue
        low, high = ends(statistics)
        apart = statistics["ci95"] is not None and not low <= 0 <= high
        rows.append({"row": f"{number}|{row}", "mean": statistics["mean"], "low": low, "high": high, "apart": apart})
        table.append((row, interval(statistics, signed=True), "yes" if apart else "no"))
    if not rows:
        return None
    clear = sum(row["apart"] for row in rows)
    return Figure(
        name="all-differences",
        title="Pairwise differences",
        says=f"Differences of {title} between every two summaries, with 95 % intervals. {clear} of {len(rows)} "
        "intervals do not hold zero.",
        chart=charts.differences(rows, f"difference of {title}"),
        columns=("difference", title, "zero is outside"),
        rows=tuple(table),
        note="Paired: run by run, both begin with the same weights. A filled mark: zero is outside of the 95 % "
        "interval. Intervals are of one pair each; of many pairs some miss zero by chance.",
    )


def rules_in(chapters: Sequence[Chapter]) -> tuple[str, ...]:
    """Return the rules of selection that some chapter has."""
    return tuple(rule for rule in SELECTIONS if any(rule in c.measured.beside for c in chapters))
