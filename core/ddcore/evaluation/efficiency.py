"""How scores grow with the size of the summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ddcore.engine.distill import distill
from ddcore.evaluation.evaluate import evaluate
from ddcore.evaluation.report import Report, score_title
from ddcore.ground import shown
from ddcore.parts import Method, TargetData


@dataclass(frozen=True)
class EfficiencyCurve:
    """Reports at several sizes, ascending.

    Attributes:
        ipcs: examples per class.
        reports: one per size.
    """

    ipcs: tuple[int, ...]
    reports: tuple[Report, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """Return one report object per size."""
        return [report.to_json() for report in self.reports]

    def __str__(self) -> str:
        rows = [f"{'ipc':>5} {'bytes':>9} {score_title(self.reports[0].results):>10} {'ci95':>6}"]
        for ipc, report in zip(self.ipcs, self.reports, strict=True):
            first = report.results[0]
            rows.append(f"{ipc:>5} {report.stored_bytes:>9} {first.mean:>10.2f} {shown(first.ci95):>6}")
        return "\n".join(rows)


def efficiency_curve(
    target: TargetData,
    method_of: Callable[[int], Method],
    ipcs: Sequence[int] = (1, 10, 50),
    *,
    seed: int = 0,
    distill_options: dict[str, Any] | None = None,
    **evaluate_options: Any,
) -> EfficiencyCurve:
    """Distill and evaluate at several sizes.

    Args:
        target: the data.
        method_of: returns the method for an ipc, such as ``dd.methods.dm``.
        ipcs: examples per class.
        seed: of distillation and evaluation.
        distill_options: further arguments of ``distill``.
        **evaluate_options: further arguments of ``evaluate``.
    """
    ordered = tuple(sorted(set(ipcs)))
    reports = []
    for ipc in ordered:
        summary = distill(target, method_of(ipc), seed=seed, **(distill_options or {}))
        reports.append(evaluate(summary, target, seed=seed, **evaluate_options))
    return EfficiencyCurve(ordered, tuple(reports))
