"""Scores of summaries, and of selections that take as many bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ddcore.errors import BudgetError, UnsupportedError
from ddcore.evaluation import (
    Protocol,
    Report,
    as_protocol,
    evaluate,
    labelled_alike,
    paired_differences,
    sample_statistics,
    selected_beside,
)
from ddcore.ground import Workers
from ddcore.parts import TargetData
from ddcore.summary import DataSummary
from ddcore.training import Teacher

SELECTIONS = ("random", "herding")
"""Rules whose selections stand beside every summary."""


@dataclass(frozen=True)
class Scores:
    """How good a summary is, beside selections in at most as many bytes.

    Attributes:
        ours: the summary's report.
        beside: a report for each rule of selection.
        examples: how many examples each selection has.
        missing: why a rule has no report, by rule.
    """

    ours: Report
    beside: Mapping[str, Report]
    examples: Mapping[str, int]
    missing: Mapping[str, str]

    def over(self) -> dict[str, dict[str, Any]]:
        """Return the paired difference to every selection, as `sample_statistics`."""
        found = {rule: difference(self.ours, report) for rule, report in self.beside.items()}
        return {rule: statistics for rule, statistics in found.items() if statistics is not None}

    def to_json(self) -> dict[str, Any]:
        """Return all reports and differences."""
        return {
            "ours": self.ours.to_json(),
            "beside": {rule: report.to_json() for rule, report in self.beside.items()},
            "over": self.over(),
            "missing": dict(self.missing),
        }


def difference(one: Report, other: Report) -> dict[str, Any] | None:
    """Return mean and interval of `paired_differences`; None where runs are not paired."""
    try:
        return sample_statistics(paired_differences(one, other))
    except UnsupportedError:
        return None


@dataclass
class Measuring:
    """Evaluates the summaries of a page alike. A selection that two of them share is made once.

    Attributes:
        networks, runs, seed, device, precision, workers, progress: as in `ddcore.evaluate`.
        protocol: its name, or a `Protocol`.
        teachers: that label examples where the protocol wants it.
    """

    networks: object
    protocol: str | Protocol
    runs: int
    seed: int
    device: str | torch.device
    precision: str | None
    teachers: Sequence[Teacher]
    workers: int | Workers
    progress: Callable[[str], None] | None
    _reports: dict[tuple[str, ...], Report] = field(default_factory=dict)

    def of(self, summary: DataSummary, target: TargetData) -> Scores:
        """Return the scores of a summary and of the selections beside it."""
        protocol = as_protocol(self.protocol, summary)
        own, missing, examples = summary, {}, {}
        beside: dict[str, Report] = {}
        for rule in SELECTIONS:
            if rule == summary.record.get("method", {}).get("name"):
                continue
            try:
                selected = selected_beside(summary, target, rule, seed=self.seed)
            except (BudgetError, UnsupportedError) as error:
                missing[rule] = str(error)
                continue
            own, selected = labelled_alike(
                summary, selected, protocol, tuple(self.teachers), seed=self.seed, device="cpu"
            )
            beside[rule], examples[rule] = self._evaluated(selected, target, protocol, rule), len(selected)
        if not beside:
            own, _ = labelled_alike(summary, summary, protocol, tuple(self.teachers), seed=self.seed, device="cpu")
        return Scores(self._evaluated(own, target, protocol, "this summary"), beside, examples, missing)

    def _evaluated(self, summary: DataSummary, target: TargetData, protocol: Protocol, title: str) -> Report:
        key = (summary.sha256(), repr(summary.recipe.to_json()), repr(target.spec.normalisation.describe()))
        if key not in self._reports:
            told = self.progress
            self._reports[key] = evaluate(
                summary,
                target,
                networks=self.networks,
                protocol=replace(protocol, labels=None),
                runs=self.runs,
                seed=self.seed,
                device=self.device,
                precision=self.precision,
                workers=self.workers,
                progress=None if told is None else lambda line: told(f"{title}: {line}"),
            )
        return self._reports[key]
