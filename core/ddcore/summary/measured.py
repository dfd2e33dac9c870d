"""What was measured of a summary: ``evaluations.json`` beside its tensors."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddcore.errors import SummaryFormatError
from ddcore.ground.tensorfile import checked_text, read_json

EVALUATIONS = "evaluations.json"
SCHEMA = 1
MAX_BYTES = 2**22
MAX_EVALUATIONS = 256
MAX_RESULTS = 64
MAX_RUNS = 1000
LONGEST_NAME = 500


def read_evaluations(directory: str | Path) -> tuple[dict[str, Any], ...]:
    """Return the evaluations that are kept beside a summary, oldest first.

    Each is what ``Report.to_json`` gives, with ``data_sha256``, the fingerprint of the data (None
    where the summary withholds it), and ``summary_sha256``. Nobody has checked that the numbers
    are true: ``dd.verify`` does.

    Args:
        directory: of the summary.

    Returns:
        Nothing, if there is no such file.

    Raises:
        SummaryFormatError: the file is damaged, hostile, or of an unknown version.
    """
    path = Path(directory) / EVALUATIONS
    if not path.exists():
        return ()
    held = read_json(path, MAX_BYTES)
    if held.get("schema") != SCHEMA or set(held) != {"schema", "evaluations"}:
        raise SummaryFormatError(f"{EVALUATIONS} is not of schema {SCHEMA}, which this version reads")
    entries = held["evaluations"]
    if not isinstance(entries, list) or len(entries) > MAX_EVALUATIONS:
        raise SummaryFormatError(f"{EVALUATIONS} lists no evaluations, or more than {MAX_EVALUATIONS}")
    return tuple(check_evaluation(entry) for entry in entries)


def check_evaluation(entry: Any) -> dict[str, Any]:
    """Return an entry of ``evaluations.json`` if it has the documented form.

    Raises:
        SummaryFormatError: it has not.
    """
    _require(isinstance(entry, dict), "an evaluation is an object")
    details = entry.get("details")
    _require(isinstance(details, dict) and isinstance(details.get("tested_on"), dict), "details say what was tested on")
    texts = (
        *(entry.get(name) for name in ("data", "method", "protocol")),
        *map(details["tested_on"].get, ("data", "split")),
    )
    for text in texts:
        checked_text(text, EVALUATIONS)
    _require(is_number(entry.get("ipc")) and type(entry.get("stored_bytes")) is int, "ipc and stored_bytes are numbers")
    for name in ("data_sha256", "summary_sha256"):
        digest = entry.get(name)
        fits = digest is None or (isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest))
        _require(fits, f"{name} is a hash, or null")
    results = entry.get("results")
    _require(isinstance(results, list) and 0 < len(results) <= MAX_RESULTS, f"results are 1 to {MAX_RESULTS}")
    for result in results:
        _check_result(result)
    return dict(entry)


def _check_result(result: Any) -> None:
    _require(isinstance(result, dict), "a result is an object")
    checked_text(result.get("network"), EVALUATIONS, LONGEST_NAME)
    scores, runs = result.get("scores"), result.get("runs")
    _require(type(runs) is int and 0 < runs <= MAX_RUNS, f"runs are 1 to {MAX_RUNS}")
    _require(isinstance(scores, dict) and result.get("score") in scores, "the main score is among the scores")
    for name, statistics in (*scores.items(), (result["score"], result)):
        checked_text(name, EVALUATIONS)
        _require(isinstance(statistics, dict) and is_number(statistics.get("mean")), "a score has a mean")
        spread = [statistics.get(key) for key in ("std", "ci95")]
        _require(all(s is None or (is_number(s) and s >= 0) for s in spread), "std and ci95 are numbers, or null")
    each = result.get("accuracies", [])
    _require(isinstance(each, list) and len(each) in (0, runs) and all(map(is_number, each)), "accuracies: one per run")


def is_number(value: object) -> bool:
    """Whether a value of JSON is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _require(fits: object, rule: str) -> None:
    if not fits:
        raise SummaryFormatError(f"{EVALUATIONS}: {rule}")


def measured_table(evaluations: tuple[Mapping[str, Any], ...]) -> str:
    """Return the section of a card that says what was measured; nothing where nothing was."""
    if not evaluations:
        return ""
    rows = [_row(entry, result) for entry in evaluations for result in entry["results"]]
    return "\n".join(
        [
            HEADING,
            "",
            "| tested on | protocol | network | score | mean | 95 % interval | runs |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            f"Scores are of new networks. `{EVALUATIONS}` has all settings, and `ddapps verify` measures them again.",
            "",
        ]
    )


HEADING = "## Measured"


def _row(entry: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    tested = entry["details"]["tested_on"]
    interval = "none" if result.get("ci95") is None else f"± {result['ci95']:.2f}"
    mean = f"{result['mean']:.2f}"
    words = (f"{tested['data']}, {tested['split']}", entry["protocol"], result["network"], result["score"])
    return f"| {' | '.join((*map(as_cell, words), mean, interval, str(result['runs'])))} |"


def as_cell(text: str) -> str:
    """Return text that stays in one line, or a cell of a table, of Markdown and is no markup."""
    text = " ".join(text.split())
    for sign, safe in (("&", "&amp;"), ("<", "&lt;"), ("|", "&#124;"), ("`", "&#96;"), ("[", "&#91;")):
        text = text.replace(sign, safe)
    return text
