"""What labels give, and what examples give: every protocol beside random selection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ddcore import markup
from ddcore.budget import Budget
from ddcore.coresets import as_rule
from ddcore.engine.distill import distill
from ddcore.engine.fitting import fitted
from ddcore.errors import BudgetError, UnsupportedError
from ddcore.evaluation.evaluate import evaluate
from ddcore.evaluation.given import given_summary
from ddcore.evaluation.labels import under_labels
from ddcore.evaluation.protocols import as_protocol
from ddcore.evaluation.report import Report, Result
from ddcore.evaluation.statistics import Measured, mean_std_ci95, sample_statistics
from ddcore.factorization import AsStored, Compressed
from ddcore.ground.devices import resolve_device
from ddcore.ground.workers import Workers
from ddcore.parts import Factorization, Method, TargetData, modality_named
from ddcore.settings import override, with_every
from ddcore.summary import DataSummary
from ddcore.training import Protocol, Teacher

FAIR_PROTOCOLS = ("hard", "fixed-soft", "teacher")


@dataclass(frozen=True)
class Beside:
    """A summary and a random selection of as many bytes, trained on alike.

    Attributes:
        protocol: its name.
        ours, random: their reports. Labels are not among the bytes that are equal.
    """

    protocol: str
    ours: Report
    random: Report

    def differences(self) -> tuple[float, ...]:
        """Return our score minus that of random selection, for every network and run."""
        return paired_differences(self.ours, self.random)

    def over_random(self) -> dict[str, float | int | None]:
        """Return mean, deviation and interval of `differences`, as JSON data."""
        return sample_statistics(self.differences())

    def to_json(self) -> dict[str, Any]:
        """Return both reports and the paired difference."""
        return {
            "protocol": self.protocol,
            "ours": self.ours.to_json(),
            "random": self.random.to_json(),
            "over_random": self.over_random(),
        }


@dataclass(frozen=True)
class FairReport:
    r"""One summary under several kinds of labels, each beside random selection.

    Let :math:`a_p` be the score under protocol p and :math:`r_p` that of random selection. What is
    gained over random selection under hard labels is

    .. math:: a_p - r_{hard} = (a_p - r_p) + (r_p - r_{hard}),

    first what the examples give, then what the labels give.

    Attributes:
        rows: one per protocol.
    """

    rows: tuple[Beside, ...]

    def shares(self) -> dict[str, dict[str, float]]:
        """Return, per protocol, what ``examples`` and what ``labels`` give.

        It is empty if the first protocol is not ``hard``.
        """
        first = self.rows[0]
        if first.protocol != FAIR_PROTOCOLS[0]:
            return {}
        base = _mean(first.random.results)
        return {
            row.protocol: {
                "examples": _mean(row.ours.results) - _mean(row.random.results),
                "labels": _mean(row.random.results) - base,
            }
            for row in self.rows
        }

    def to_json(self) -> dict[str, Any]:
        """Return all rows, and the shares of examples and labels."""
        return {"rows": [row.to_json() for row in self.rows], "shares": self.shares()}

    def _cells(self) -> list[tuple[str, ...]]:
        """Return the table, line by line, its head first."""
        lines: list[tuple[str, ...]] = [("protocol", "score", "random", "difference", "bytes", "of labels")]
        for row in self.rows:
            ours, random = (str(Measured(_pooled(report.results))) for report in (row.ours, row.random))
            labels = int(row.ours.details["label_bytes"])
            lines.append(
                (row.protocol, ours, random, str(Measured(row.differences())), str(row.ours.stored_bytes), str(labels))
            )
        return lines

    def _share_lines(self) -> list[str]:
        return [
            f"{protocol}: over random selection under hard labels, examples give {share['examples']:+.2f}, labels {share['labels']:+.2f}"
            for protocol, share in self.shares().items()
        ]

    def _repr_html_(self) -> str:
        """Return what a notebook shows: every protocol beside random selection, as a table."""
        head, *rows = self._cells()
        first = self.rows[0].ours
        facts = f"beside random selection of as many bytes, {first.ipc} per class"
        shares = [markup.text("\n".join(lines))] if (lines := self._share_lines()) else []
        return markup.card(f"{first.method} of {first.data}", facts, markup.table(head, rows), *shares)

    def __str__(self) -> str:
        widths = (-12, 14, 14, 14, 9, 9)
        lines = [
            " ".join(f"{cell:<{-w}}" if w < 0 else f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
            for cells in self._cells()
        ]
        return "\n".join([*lines, *self._share_lines()])


def evaluate_fairly(
    summary: DataSummary | str | Path,
    target: TargetData | str | Path,
    *,
    teachers: Teacher | Sequence[Teacher] = (),
    protocols: Sequence[str | Protocol] = FAIR_PROTOCOLS,
    networks: object = None,
    runs: int = 5,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: str | None = None,
    split: str = "test",
    workers: int | Workers = 0,
    progress: Callable[[str], None] | None = None,
) -> FairReport:
    """Train on a summary, and on random selection of equal bytes, under several kinds of labels.

    Both get the same number of updates, and under one protocol labels of the same kind.

    Args:
        summary: what is evaluated.
        target: the data on whose held-out split is tested, and of which random examples are drawn.
        teachers: that label the examples, where a protocol wants such labels.
        protocols: those compared. The shares of labels and examples need ``hard`` first.
        networks: as in ``evaluate``, and so are the arguments that follow.
        runs: networks per architecture.
        seed: of random selection, weights, order and augmentation.
        device: where networks are trained.
        precision: at which they are trained.
        split: on which they are tested.
        workers: processes that take runs side by side.
        progress: as in ``evaluate``.
    """
    summary, target = given_summary(summary, target)
    beside, place = random_beside(summary, target, seed=seed), resolve_device(device)
    labellers = (teachers,) if isinstance(teachers, Teacher) else tuple(teachers)
    named = [as_protocol(protocol, summary) for protocol in protocols]
    pairs = [labelled_alike(summary, beside, protocol, labellers, seed=seed, device=place) for protocol in named]
    rows = []
    for protocol, pair in zip(named, pairs, strict=True):
        ours, random = (
            evaluate(
                data,
                target,
                networks=networks,
                protocol=replace(protocol, labels=None),
                runs=runs,
                seed=seed,
                device=device,
                precision=precision,
                split=split,
                workers=workers,
                progress=progress,
            )
            for data in pair
        )
        rows.append(Beside(protocol.name, ours, random))
    return FairReport(tuple(rows))


def labelled_alike(
    summary: DataSummary,
    beside: DataSummary,
    protocol: Protocol,
    teachers: tuple[Teacher, ...],
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> tuple[DataSummary, DataSummary]:
    """Return both summaries under a protocol's labels, those of the second made as the first's.

    Views of stored labels have the same batches and augmentation for both.

    Raises:
        TeacherError: a teacher is needed, for one of them or for both.
    """
    ours = under_labels(summary, protocol, teachers, seed=seed, device=device)
    assert isinstance(ours, DataSummary)
    if protocol.labels is None:
        return ours, beside
    if isinstance(protocol.labels, str):
        return ours, beside.hard()
    assert ours.labels is not None
    labelling = ours.labels.made_like(with_every(protocol.labels, "teachers", teachers))
    return ours, beside.labelled(labelling, seed=seed, device=device)


def paired_differences(one: Report, other: Report) -> tuple[float, ...]:
    """Return the score of one report minus that of the other, for every network and run.

    Runs of one number begin with the same weights.

    Raises:
        UnsupportedError: their networks or runs are not the same.
    """
    if [(r.network, len(r.values)) for r in one.results] != [(r.network, len(r.values)) for r in other.results]:
        raise UnsupportedError("reports of other networks or runs have no paired differences: evaluate both alike")
    pairs = zip(one.results, other.results, strict=True)
    return tuple(a - b for ours, theirs in pairs for a, b in zip(ours.values, theirs.values, strict=True))


def random_beside(summary: DataSummary, target: TargetData, *, seed: int = 0) -> DataSummary:
    """Return randomly selected examples, stored as the summary's are, in at most as many bytes.

    Labels by teachers are not among those bytes: both get their own.
    """
    kind = override(modality_named(target.spec.modality).as_stored(), "ipc", 1)
    return _selected(summary, target, override(kind, "init", "random"), "random", seed)


def selected_beside(summary: DataSummary, target: TargetData, rule: str, *, seed: int = 0) -> DataSummary:
    """Return examples that a rule selects, stored as selections of such data usually are.

    Bytes are counted as in `random_beside`, and so numbers are stored as the summary's.

    Args:
        summary: whose bytes are not exceeded.
        target: the data that examples are selected from.
        rule: a name in `ddcore.parts.RULES`, such as ``"herding"``.
        seed: of what is random in it.
    """
    modality = modality_named(target.spec.modality)
    kind = override(override(modality.as_stored(), "ipc", 1), "init", as_rule(rule))
    return _selected(summary, target, modality.selection(kind), rule, seed)


def _selected(summary: DataSummary, target: TargetData, kind: Factorization, name: str, seed: int) -> DataSummary:
    """Return selected examples in as many bytes, through the summary's codec if it has one."""
    stored = summary.parts[0].factorization
    nbytes = summary.stored_bytes - summary.label_bytes
    if isinstance(stored, Compressed) and isinstance(stored.of, AsStored):
        selecting = replace(stored.of, init=getattr(kind, "init", name), labels="hard", ipc=1)
        method = Method(factorization=replace(stored, of=selecting, nbytes=nbytes), name=name)
        # Where not even one of each class fits, one of each is smoothed until it does.
        with suppress(BudgetError):
            method = fitted(method, target, nbytes, seed=seed)
        return distill(target, method, seed=seed, device="cpu")
    storage = getattr(stored, "storage", None)
    if storage in getattr(kind, "storages", ()):
        kind = override(kind, "storage", storage)
    sized = Budget(nbytes, beyond=True).fit(kind.clipped(), target)
    return distill(target, Method(factorization=sized, name=name), seed=seed, device="cpu")


def _pooled(results: Sequence[Result]) -> tuple[float, ...]:
    return tuple(value for result in results for value in result.values)


def _mean(results: Sequence[Result]) -> float:
    return mean_std_ci95(_pooled(results))[0]
