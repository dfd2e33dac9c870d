"""Charts as Vega specifications, made by Altair. They are read without colour too.

Colours are names of the page's style sheet (``var(--ink)``), so that they follow its theme.
Shapes, dashes and labels say what colours say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ddcore.errors import MissingExtraError

if TYPE_CHECKING:
    import altair

INK, SOFT, ACCENT, LINE = "var(--ink)", "var(--soft)", "var(--accent)", "var(--line)"
KINDS = ("this summary", "random", "herding")
SHAPES, FILLS = ("diamond", "circle", "square"), (ACCENT, "var(--paper)", "var(--paper)")
STROKES = (ACCENT, SOFT, SOFT)
ROW = 26
LABEL_WIDTH = 180
HEAD = "#|"
"""What separates number and label of a row that is the head of those below."""
LOGARITHMIC_FROM = 30.0
"""From this ratio of the greatest loss to the least on, the axis is logarithmic."""


def altair_package() -> Any:
    """Return Altair, or raise `MissingExtraError` where a package of reports is not installed."""
    try:
        import altair
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("a report", "altair", "report") from error
    return altair


def losses(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the chart of a loss over the steps: a mean of neighbours, inside of their range."""
    alt = altair_package()
    low, high = min(p["low"] for p in points), max(p["high"] for p in points)
    logarithmic = low > 0 and high / low > LOGARITHMIC_FROM
    scale = alt.Scale(type="log") if logarithmic else alt.Scale(zero=False, nice=True)
    axis = alt.Axis(values=_round_numbers(low, high)) if logarithmic else alt.Axis(tickCount=5)
    x = alt.X("step", type="quantitative", title="step", axis=alt.Axis(grid=False, tickCount=6))
    base = alt.Chart(alt.Data(values=list(points)))
    title = "loss (log scale)" if logarithmic else "loss"
    y = alt.Y("low", type="quantitative", scale=scale, title=title, axis=axis)
    band = base.mark_area(color=ACCENT, opacity=0.16).encode(x=x, y=y, y2="high")
    line = base.mark_line(color=ACCENT, strokeWidth=1.75).encode(x=x, y=alt.Y("loss", type="quantitative"))
    last = alt.Chart(alt.Data(values=[points[-1]]))
    point = last.mark_point(filled=True, size=46, color=ACCENT).encode(x=x, y=alt.Y("loss", type="quantitative"))
    return _drawn((band + line + point).properties(height=220))


def scores(
    rows: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]], domain: Sequence[str], title: str
) -> dict[str, Any]:
    """Return the chart of mean scores with their intervals, a row each, and every run as a tick.

    Args:
        rows: ``row``, ``kind`` (one of `KINDS`), ``mean``, ``low``, ``high``.
        runs: ``row`` and ``value``.
        domain: all rows in order, ``number|label``; heads of others are ``number#|label``.
        title: of the axis.
    """
    alt = altair_package()
    y = _rows(alt, domain)
    scale = alt.Scale(zero=False, nice=True)
    data = alt.Chart(alt.Data(values=list(rows)))
    rule = data.mark_rule(strokeWidth=1.75, strokeCap="round").encode(
        x=alt.X("low", type="quantitative", scale=scale, title=title, axis=alt.Axis(tickCount=5)),
        x2="high",
        y=y,
        color=_by_kind(alt, STROKES),
    )
    ticks = alt.Chart(alt.Data(values=list(runs))).mark_tick(thickness=1, size=9, color=SOFT, opacity=0.75)
    every = ticks.encode(x=alt.X("value", type="quantitative"), y=y)
    return _drawn((every + rule + _points(alt, data, "mean", y)).properties(height=ROW * len(domain)))


def bytes_and_scores(rows: Sequence[dict[str, Any]], title: str) -> dict[str, Any]:
    """Return the chart of scores against stored bytes, on a logarithmic axis.

    Args:
        rows: ``bytes``, ``kind`` (one of `KINDS`), ``mean``, ``low``, ``high``; ``label``, empty
            where none is shown, and ``at``, the height of the label.
        title: of the axis of scores.
    """
    alt = altair_package()
    least, most = min(r["bytes"] for r in rows), max(r["bytes"] for r in rows)
    left, right = least / 1.4, most * 2.2
    scale = alt.Scale(type="log", domain=[left, right], nice=False)
    axis = alt.Axis(format="~s", values=_round_numbers(left, right), grid=False, labelOverlap="greedy")
    x = alt.X("bytes", type="quantitative", title="stored bytes (log scale)", scale=scale, axis=axis)
    data = alt.Chart(alt.Data(values=list(rows)))
    rule = data.mark_rule(strokeWidth=1.5, opacity=0.8).encode(
        x=x,
        y=alt.Y(
            "low", type="quantitative", scale=alt.Scale(zero=False, nice=True), title=title, axis=alt.Axis(tickCount=6)
        ),
        y2="high",
        color=_by_kind(alt, STROKES),
    )
    text = data.mark_text(align="left", dx=10, fontSize=12, color=INK, limit=150).encode(
        x=x, y=alt.Y("at", type="quantitative"), text=alt.Text("label", type="nominal")
    )
    points = _points(alt, data, "bytes", alt.Y("mean", type="quantitative"), x=x)
    return _drawn((rule + points + text).properties(height=340))


def differences(rows: Sequence[dict[str, Any]], title: str) -> dict[str, Any]:
    """Return the chart of differences with their intervals around zero, a row each.

    Args:
        rows: ``row``, ``mean``, ``low``, ``high``, and ``apart``: whether zero is outside.
        title: of the axis.
    """
    alt = altair_package()
    y = _rows(alt, [row["row"] for row in rows])
    data = alt.Chart(alt.Data(values=list(rows)))
    x = alt.X(
        "low", type="quantitative", scale=alt.Scale(zero=True, nice=True), title=title, axis=alt.Axis(tickCount=6)
    )
    zero = alt.Chart(alt.Data(values=[{"at": 0}])).mark_rule(color=INK, strokeDash=[3, 3])
    filled = alt.Scale(domain=[True, False], range=[ACCENT, "var(--paper)"])
    rule = data.mark_rule(strokeWidth=1.75, color=ACCENT).encode(x=x, x2="high", y=y)
    point = data.mark_point(size=64, stroke=ACCENT, strokeWidth=1.75, fillOpacity=1).encode(
        x=alt.X("mean", type="quantitative"), y=y, fill=alt.Fill("apart", type="nominal", scale=filled, legend=None)
    )
    layers = zero.encode(x=alt.X("at", type="quantitative")) + rule + point
    return _drawn(layers.properties(height=ROW * len(rows)))


def _points(alt: Any, data: Any, field: str, y: Any, x: Any = None) -> Any:
    return data.mark_point(size=90, strokeWidth=1.75, fillOpacity=1, opacity=1).encode(
        x=x or alt.X(field, type="quantitative"),
        y=y,
        shape=alt.Shape("kind", type="nominal", scale=alt.Scale(domain=KINDS, range=SHAPES), legend=None),
        stroke=alt.Stroke("kind", type="nominal", scale=alt.Scale(domain=KINDS, range=STROKES), legend=None),
        fill=alt.Fill("kind", type="nominal", scale=alt.Scale(domain=KINDS, range=FILLS), legend=None),
        tooltip=alt.Tooltip("says", type="nominal"),
    )


def _by_kind(alt: Any, colours: Sequence[str]) -> Any:
    return alt.Color("kind", type="nominal", scale=alt.Scale(domain=KINDS, range=colours), legend=None)


def _rows(alt: Any, domain: Sequence[str]) -> Any:
    """Return rows ``number|label`` from the top. Only labels are shown."""
    axis = alt.Axis(
        labelFontSize=13,
        labelFontWeight={"condition": {"test": f"indexof(datum.value, '{HEAD}') > 0", "value": 600}, "value": 400},
        labelColor=INK,
        labelLimit=LABEL_WIDTH,
        labelPadding=10,
        domain=False,
        labelExpr="slice(datum.label, indexof(datum.label, '|') + 1)",
    )
    return alt.Y("row", type="nominal", sort=None, title=None, axis=axis, scale=alt.Scale(domain=list(domain)))


def _round_numbers(least: float, most: float) -> list[float]:
    """Return the numbers 1, 2 and 5 times powers of ten between two numbers.

    Of more than eight only the powers are left.
    """
    exponents = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    found = [m * 10.0**e for e in exponents for m in (1, 2, 5) if least <= m * 10.0**e <= most]
    powers = [number for number in found if math.log10(number) % 1 == 0]
    return found if len(found) <= 8 or len(powers) < 2 else powers


def _drawn(chart: altair.LayerChart) -> dict[str, Any]:
    """Return the Vega specification of a chart that is as wide as its place."""
    import vl_convert

    font = "ui-sans-serif, system-ui, sans-serif"
    themed = (
        chart.properties(width="container", background="transparent", padding=4)
        .configure(font=font, aria=False)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=SOFT,
            titleColor=SOFT,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            titlePadding=10,
            gridColor=LINE,
            domainColor=LINE,
            ticks=False,
            labelPadding=6,
        )
        .configure_axisY(domain=False)
    )
    specification: dict[str, Any] = vl_convert.vegalite_to_vega(themed.to_dict(validate=False))
    return specification
