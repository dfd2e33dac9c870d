"""``report``: summaries as one page that opens from a disk."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ddcore.data import load_data
from ddcore.errors import InputDataError, SettingsError
from ddcore.evaluation import Protocol, storage
from ddcore.ground import Workers, sayer
from ddcore.parts import Spec, TargetData
from ddcore.report.chapter import Chapter
from ddcore.report.charts import altair_package
from ddcore.report.course import Course
from ddcore.report.measured import Measuring
from ddcore.report.page import Page
from ddcore.report.repeat import command_of
from ddcore.summary import DataSummary
from ddcore.training import Teacher

Source = str | Path | TargetData | Callable[[Spec], TargetData]


def report(
    summaries: DataSummary | str | Path | Sequence[DataSummary | str | Path],
    target: Source,
    *,
    networks: object = None,
    protocol: str | Protocol = "quick",
    runs: int = 5,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: str | None = None,
    teachers: Teacher | Sequence[Teacher] = (),
    workers: int | Workers = 0,
    named: str | None = None,
    out: str | Path | None = None,
    progress: Callable[[str], None] | bool | None = None,
) -> Page:
    """Evaluate summaries beside selections of equal bytes, and tell all of them on one page.

    Args:
        summaries: one or several, or their directories. Of a directory, what ``ddapps distill``
            left there is told too: the loss, and the states that ``--snapshots`` kept.
        target: the data on whose test split is measured; or what `load_data` takes, or a function
            that loads them: both load it as each summary declares.
        networks: as in `evaluate`, and so are the arguments that follow. Of several the page
            compares how the summary transfers.
        protocol: how networks are trained.
        runs: networks per architecture.
        seed: of selections, weights, order and augmentation.
        device: where networks are trained.
        precision: at which they are trained.
        teachers: that label the examples, where the protocol wants it.
        workers: processes that take runs side by side.
        named: the words by which the command that repeats a summary names the data; default: the
            data's name.
        out: where the page is written; None: nowhere.
        progress: called with a line of text about every run.

    Returns:
        The `Page`. A notebook shows it.

    Raises:
        MissingExtraError: a package that makes pages is not installed.
        InputDataError: what is given is no summary.
        SummaryFormatError: something in a directory is damaged.
    """
    altair_package()
    given = _several(summaries)
    if not given:
        raise SettingsError("a report is about at least one summary: none was given")
    read = [s if isinstance(s, DataSummary) else DataSummary.load(s) for s in given]
    places = [None if isinstance(s, DataSummary) else Path(s) for s in given]
    of = (teachers,) if isinstance(teachers, Teacher) else tuple(teachers)
    measuring = Measuring(networks, protocol, runs, seed, device, precision, of, workers, sayer(progress))
    data, chapters = _Loading(target), []
    for title, summary, place in zip(_titles(read, places), read, places, strict=True):
        loaded = data.like(summary.spec)
        recorded = summary.record.get("data_sha256")
        chapters.append(
            Chapter(
                title=title,
                summary=summary,
                sizes=storage(summary, loaded),
                measured=measuring.of(summary, loaded),
                course=Course() if place is None else Course.read(place),
                command=command_of(summary, named or shlex.quote(loaded.name)),
                same_data=None if recorded is None else recorded == loaded.fingerprint(),
            )
        )
    page = Page(tuple(chapters))
    if out is not None:
        page.save(out)
    return page


def _several(summaries: object) -> list[DataSummary | str | Path]:
    """Return one summary or several as a list."""
    given: list[Any] = [*summaries] if isinstance(summaries, list | tuple) else [summaries]
    for one in given:
        if not isinstance(one, DataSummary | str | Path):
            swapped = ": the arguments are swapped" if isinstance(one, TargetData) else ""
            raise InputDataError(
                f"the first argument is a DataSummary, its directory or a list of them, not {type(one).__name__}{swapped}"
            )
    return given


class _Loading:
    """The target data as each summary declares them."""

    def __init__(self, target: Source) -> None:
        self._target = target
        self._loaded: dict[str, TargetData] = {}

    def like(self, spec: Spec) -> TargetData:
        if isinstance(self._target, TargetData):
            return self._target
        key = json.dumps(spec.to_json(), sort_keys=True)
        if key not in self._loaded:
            source = self._target
            self._loaded[key] = source(spec) if callable(source) else load_data(source, like=spec)
        return self._loaded[key]


def _titles(summaries: Sequence[DataSummary], places: Sequence[Path | None]) -> list[str]:
    """Return a name for each summary: its method, its directory where that says more, a number."""
    methods = [str(s.record.get("method", {}).get("name", "custom")) for s in summaries]
    folders = [method if place is None else place.resolve().name for method, place in zip(methods, places, strict=True)]
    for names in (methods, folders):
        if len(set(names)) == len(names):
            return names
    return [f"{name} {number}" for number, name in enumerate(folders, 1)]
