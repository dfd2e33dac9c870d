"""What a proxy dataset says of itself to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ddapps.nas.combination import Combination
from ddcore.ground import UNDEFINED, counted
from ddcore.summary import DataSummary

COLUMNS = "proxy, tau to choose by, tau, 95 %, better half, regret at 1, seconds each, seconds in all, speed-up"


def card(
    summaries: Sequence[DataSummary],
    space: str,
    epochs: int,
    score: str,
    evidence: Mapping[str, Any],
    combination: Combination | None,
) -> str:
    """Return what a proxy dataset is, and how far its ranking can be trusted, in Markdown.

    Args:
        summaries: one per seed.
        space: its label.
        epochs: that a candidate is trained on them.
        score: its name.
        evidence: as JSON data.
        combination: what the score ``combined`` is; None: another score.
    """
    first = summaries[0]
    method = first.record.get("method", {}).get("name", "custom")
    one = len(summaries) == 1
    trained = "A candidate is trained on it" if one else "A candidate is trained on each"
    told = "its score is the one on it" if one else "its score is the mean over them"
    lines = [
        f"# {method} proxy of {first.record.get('data', 'a dataset')} for the space `{space}`",
        "",
        f"{counted(len(summaries), 'summary', 'summaries')} of {counted(first.ipc, 'example')} per class. {trained} for "
        f"{counted(epochs, 'epoch')}; {told}, by `{score}`.",
        *_weights(combination),
        *_choice(evidence),
        "",
        *_evidence(evidence),
    ]
    for what, left in (("No row", "unranked"), ("Left out", "failed")):
        lines += ["", *(f"{what}: {name}: {reason}" for name, reason in evidence.get(left, {}).items())]
    seconds = sum(float(summary.record.get("seconds") or 0) for summary in summaries)
    lines += ["", f"Distilling it took {seconds:.0f} seconds."]
    return "\n".join([*lines, "", "`ddapps nas search DATA --space SPACE --proxy` this directory uses it.", ""])


def _weights(found: Combination | None) -> list[str]:
    if found is None:
        return []
    weights = ", ".join(f"{name} {weight:+.2f}" for name, weight in zip(found.features, found.weights, strict=True))
    return ["", f"`combined` is a sum of standardised scores, fitted on {found.pilot} other architectures: {weights}."]


def _choice(evidence: Mapping[str, Any]) -> list[str]:
    choice = evidence.get("choice")
    return [] if choice is None else ["", f"**Chosen by `auto`: `{choice['chosen']}`.** {choice['why']}"]


def _evidence(evidence: Mapping[str, Any]) -> list[str]:
    truth = evidence.get("truth")
    if not truth:
        return []
    names = COLUMNS.split(", ")
    return [
        f"Kendall's tau with accuracies after full training, on {truth['n']} architectures of the space "
        f"(ceiling: {_cell(truth['ceiling_tau'], 'unknown, of one full training')}). A score is chosen by the first column, of the validation split; "
        "the others are of the test split. Seconds in all are those of making, pilot and scoring together:",
        "",
        f"| {' | '.join(names)} |",
        "|---" * len(names) + "|",
        *(
            f"| {row['name']} | {(row.get('validation') or {}).get('tau', 'unknown')} | {row['tau']} | "
            f"{_interval(row['tau_ci95'])} | {(row.get('better_half') or {}).get('tau', UNDEFINED)} | {_cell(row['regret_at_1'])} | "
            f"{row['seconds_per_candidate']} | {_cell(row.get('whole_seconds'))} | {_cell(row['speedup'])} |"
            for row in evidence["proxies"]
        ),
        "",
        *(f"Warning: {warning}." for warning in evidence.get("warnings", ())),
    ]


def _cell(value: object, otherwise: str = UNDEFINED) -> str:
    return otherwise if value is None else str(value)


def _interval(ends: Sequence[object]) -> str:
    return UNDEFINED if None in ends else f"{ends[0]} to {ends[1]}"
