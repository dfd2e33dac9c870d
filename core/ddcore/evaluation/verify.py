"""``verify``: whether what a stored summary says of itself is true."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from ddcore.data import load_data
from ddcore.errors import InputDataError, SummaryFormatError
from ddcore.evaluation.claims import COULD_NOT, Check, Remaking, check_entry
from ddcore.evaluation.evaluate import evaluate
from ddcore.evaluation.report import Report
from ddcore.ground.tally import sayer
from ddcore.ground.tensorfile import file_sha256
from ddcore.ground.workers import Workers
from ddcore.parts import TargetData
from ddcore.summary import DataSummary, card_text, read_card, read_evaluations
from ddcore.summary.files import TENSORS
from ddcore.summary.travel import at_hand
from ddcore.training import Teacher

OTHER_DATA = "does not hold: these are other data, or other options of loading"


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        summary: where it lies.
        checks: one for each thing that it says of itself.
        measured: the evaluation that was made where none was kept to make again.
    """

    summary: str
    checks: tuple[Check, ...]
    measured: Report | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing that was claimed is untrue."""
        return not self.failed

    @property
    def unchecked(self) -> tuple[Check, ...]:
        """The claims that could not be made again here."""
        return tuple(check for check in self.checks if check.holds is None and check.verdict.startswith(COULD_NOT))

    @property
    def failed(self) -> tuple[Check, ...]:
        """The claims that do not hold."""
        return tuple(check for check in self.checks if check.holds is False)

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``ddapps verify --json`` writes (docs/cli.md)."""
        return {
            "summary": self.summary,
            "holds": self.holds,
            "checks": [vars(check) for check in self.checks],
            "measured": None if self.measured is None else self.measured.to_json(),
        }

    def __str__(self) -> str:
        lines = [str(check) for check in self.checks]
        if self.measured is not None:
            lines += ["no evaluation of these data was claimed; measured now:", str(self.measured)]
        claimed = sum(check.holds is not None for check in self.checks)
        lines.append(f"{claimed - len(self.failed)} of {claimed} claims hold")
        return "\n".join(lines)


def verify(
    directory: str | Path,
    data: object,
    *,
    teachers: Teacher | Sequence[Teacher] = (),
    device: str | torch.device = "auto",
    workers: int | Workers = 0,
    progress: Callable[[str], None] | bool | None = None,
    **loading: Any,
) -> Verification:
    """Check a stored summary against its data.

    The tensors must have their hash. The card must be, line by line, what the summary and its kept
    evaluations make it. The data must be those that the summary was distilled from, where it
    records their hash. Every kept evaluation is made again with its own networks, protocol, runs
    and seed. It holds if the numbers are equal, or, since another machine adds in another order,
    if two things are so: the 95 % interval of the difference of means includes 0, and the ratio
    of variances lies in its 99 % interval (F). The interval of the difference takes the spread
    that was found, so that a claim gains nothing by a wide one.

    Where no evaluation of these data is kept, protocol ``quick`` is measured once. Nothing was
    claimed then.

    Args:
        directory: where the summary lies: a path, or an address as `DataSummary.load` takes.
        data: a `TargetData`, or what `load_data` takes.
        teachers: that label the examples, where a kept protocol needs them.
        device: as in ``evaluate``, and so are the arguments that follow.
        workers: processes that take runs side by side.
        progress: called with a line of text about every run.
        loading: options of `load_data`.

    Raises:
        InputDataError: a summary is given in place of its directory.
    """
    if not isinstance(directory, str | Path):
        raise InputDataError(
            f"what is verified is the directory or address of a summary, not {type(directory).__name__}: save it first"
        )
    with at_hand(directory) as place:
        try:
            summary, evaluations = DataSummary.load(place), read_evaluations(place)
            checks = [*_of_files(place, summary)]
        except SummaryFormatError as error:
            amiss = Check("files", "a whole summary", str(error), False, "does not hold")
            return Verification(str(directory), (amiss,))
    target = data if isinstance(data, TargetData) else load_data(data, like=summary.spec, **loading)
    checks.append(_of_data(summary, target))
    given = (teachers,) if isinstance(teachers, Teacher) else tuple(teachers)
    progress = sayer(progress)
    remaking = Remaking(given, device, workers, progress)
    made, measured = 0, None
    for entry in evaluations:
        if _of_other_data(entry, target):
            other = entry["details"]["tested_on"]["data"]
            what = f"protocol {entry['protocol']}"
            checks.append(Check(what, f"scores on {other}", "other data", None, "not checked"))
            continue
        made += 1
        checks += check_entry(summary, target, entry, remaking)
    if not made:
        measured = evaluate(summary, target, protocol="quick", device=device, workers=workers, progress=progress)
    return Verification(str(directory), tuple(checks), measured)


def _of_files(place: Path, summary: DataSummary) -> Iterator[Check]:
    """Yield what the card says. The loader has compared the tensors with their hash."""
    digest = file_sha256(place / TENSORS)
    yield Check.same("tensors", f"sha256 {digest[:12]}", f"sha256 {digest[:12]}")
    said = read_card(place)
    if said is None:
        yield Check("card", "nothing", f"{len(summary)} examples", None, "there is no card")
        return
    yield Check.same("card", *_first_apart(said.splitlines(), card_text(summary, place).splitlines()))


def _first_apart(said: list[str], true: list[str]) -> tuple[str, str]:
    """Return the first line that differs, as it is said and as it should be."""
    for pair in zip_longest(said, true, fillvalue="nothing"):
        if pair[0] != pair[1]:
            return pair
    return f"{len(said)} lines", f"{len(true)} lines"


def _of_data(summary: DataSummary, target: TargetData) -> Check:
    recorded = summary.record.get("data_sha256")
    if not isinstance(recorded, str):
        return Check("data", "no hash", target.name, None, "not claimed")
    same = Check.same("data", f"sha256 {recorded[:12]}", f"sha256 {target.fingerprint()[:12]}")
    return same if same.holds else replace(same, verdict=OTHER_DATA)


def _of_other_data(entry: Mapping[str, Any], target: TargetData) -> bool:
    tested = entry["details"]["tested_on"]["data"]
    known = entry["data_sha256"]
    return bool(tested != target.name and (known is None or known != target.fingerprint()))
