"""Evaluations that stay with a summary: its ``evaluations.json``, and a table on its card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddcore.errors import AddressError, SummaryFormatError
from ddcore.evaluation.report import Report
from ddcore.ground.addresses import is_address
from ddcore.ground.tensorfile import write_atomically
from ddcore.parts import TargetData
from ddcore.summary import EVALUATIONS, DataSummary, check_evaluation, read_evaluations, write_card
from ddcore.summary.measured import MAX_EVALUATIONS, SCHEMA


def keep_evaluation(directory: str | Path, summary: DataSummary, target: TargetData, report: Report) -> Path:
    """Keep a report beside the summary that it is of, and write the summary's card anew.

    A report of the same data, protocol, networks, seed and runs replaces the earlier one. Reports
    of other tensors are dropped. The data's fingerprint is withheld where the summary is private.

    Args:
        directory: where the summary lies.
        summary: what lies there.
        target: the data that it was evaluated on.
        report: what `evaluate` or `evaluate_kernel` returned.

    Returns:
        The path of ``evaluations.json``.

    Raises:
        SummaryFormatError: the file is there and damaged, or the report holds no finite score.
        OSError: the directory cannot be written.
    """
    if is_address(directory):
        raise AddressError(f"{directory} is an address: evaluations are kept in directories")
    place = Path(directory)
    known = None if withholds_data(summary.record) else target.fingerprint()
    entry = {**report.to_json(), "data_sha256": known, "summary_sha256": summary.sha256()}
    try:
        entry = check_evaluation(json.loads(json.dumps(entry, allow_nan=False)))
    except ValueError as error:
        raise SummaryFormatError(f"this evaluation cannot be kept: {error}") from error
    earlier = [e for e in read_evaluations(place) if e["summary_sha256"] == entry["summary_sha256"]]
    kept = [e for e in earlier if _what(e) != _what(entry)][1 - MAX_EVALUATIONS :]
    text = json.dumps({"schema": SCHEMA, "evaluations": [*kept, entry]}, indent=1)
    write_atomically(place / EVALUATIONS, text.encode())
    write_card(summary, place)
    return place / EVALUATIONS


def withholds_data(record: Mapping[str, Any]) -> bool:
    """Whether a record keeps the hash of its data to itself, as those of private runs do."""
    parts = record.get("union_of")
    inside = [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
    withheld = "data_sha256" in record and record["data_sha256"] is None
    return withheld or record.get("privacy") is not None or any(map(withholds_data, inside))


def _what(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells one evaluation of a summary from another."""
    details, tested = entry["details"], entry["details"]["tested_on"]
    learners = [details.get(name) for name in ("networks", "kernels", "ridge")]
    runs = [result["runs"] for result in entry["results"]]
    return entry["data_sha256"], tested["data"], tested["split"], entry["protocol"], learners, details.get("seed"), runs
