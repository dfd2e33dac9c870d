"""Chapters become HTML. Every text is escaped: a stranger may have written it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from ddcore.errors import MissingExtraError
from ddcore.ground import counted, duration, interval
from ddcore.report import told
from ddcore.report.chapter import Chapter
from ddcore.report.figures import (
    OURS,
    bytes_figure,
    differences_figure,
    loss_figure,
    rules_in,
    score_title,
    scores_figure,
)
from ddcore.report.gallery import gallery_of, strips_of
from ddcore.report.words import size
from ddcore.version import __version__

NUMERIC = re.compile(r"[-+]?[\d.]|\N{EM DASH}$")
"""What begins a number of a table, or stands for one that is not there."""
PICTURE_BYTES = 2_400_000
"""Of all pictures of a page. A third of it is for the states of the steps."""


def rendered(chapters: Sequence[Chapter]) -> str:
    """Return the page of some summaries.

    Raises:
        MissingExtraError: jinja2 or the package that holds Vega is not installed.
    """
    template = _environment().get_template("page.html.j2")
    several = len(chapters) > 1
    parts = [_part(number, chapter, PICTURE_BYTES // len(chapters)) for number, chapter in enumerate(chapters, 1)]
    together = [f for f in (bytes_figure(chapters), differences_figure(chapters)) if f] if several else []
    figures = [*together, *(figure for part in parts for figure in (part["scores"], part["loss"]) if figure)]
    data = dict.fromkeys(str(c.summary.record.get("data", "a dataset")) for c in chapters)
    page: str = template.render(
        title=f"{' and '.join(c.title for c in chapters) if len(chapters) < 3 else counted(len(chapters), 'summary', 'summaries')} of {', '.join(data)}",
        parts=parts,
        together=together,
        overview=_overview(chapters) if several else None,
        charts={figure.name: figure.chart for figure in figures},
        style=_text("page.css"),
        script=_text("page.js"),
        vega=_vega(),
        version=__version__,
    )
    return page


def _part(number: int, chapter: Chapter, most_bytes: int) -> dict[str, Any]:
    name, course = f"s{number}", chapter.course
    return {
        "name": name,
        "chapter": chapter,
        "subtitle": told.subtitle(chapter),
        "head": told.head_figures(chapter),
        "gallery": gallery_of(chapter.summary, most_bytes * 2 // 3),
        "steps": [step for step, _ in course.snapshots],
        "strips": strips_of(course.snapshots, most_bytes // 3),
        "scores": scores_figure(name, chapter.measured),
        "loss": loss_figure(name, course),
        "missing": chapter.measured.missing,
        "facts": [
            ("Bytes", told.bytes_of(chapter)),
            ("How it was measured", told.measuring(chapter)),
            ("Provenance", told.provenance(chapter)),
        ],
        "settings": told.settings(chapter),
        "certificate": told.certificate(chapter),
        "citations": told.citations(chapter),
    }


def _overview(chapters: Sequence[Chapter]) -> dict[str, Any]:
    """Return the table of several summaries: its columns, and a row for each."""
    rules = rules_in(chapters)
    columns = ["summary", "examples", "stored", "of the original", score_title(chapters[0].measured.ours)]
    rows = []
    for chapter in chapters:
        over, seconds = chapter.measured.over(), chapter.summary.record.get("seconds")
        row = [
            chapter.title,
            str(len(chapter.summary)),
            size(chapter.sizes.stored),
            f"{chapter.sizes.share:.2%}",
            interval(chapter.measured.ours.results[0].to_json()),
            *(interval(over[rule], signed=True) if rule in over else "—" for rule in rules),
            duration(seconds) if isinstance(seconds, int | float) else "—",
        ]
        rows.append(row)
    return {"columns": [*columns, *(f"over {rule}" for rule in rules), "distilled in"], "rows": rows, "ours": OURS}


@cache
def _environment() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("a report", "jinja2", "report") from error
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["words"] = lambda value: ", " in value or not NUMERIC.match(value)
    return environment


@cache
def _vega() -> str:
    """Return Vega and its embedding as one script."""
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script.replace("</script", "<\\/script")


def _text(name: str) -> str:
    return (files("ddcore.report") / "template" / name).read_text(encoding="utf-8")
