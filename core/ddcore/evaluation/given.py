"""What a caller gives to be evaluated: objects, or paths of them."""

from __future__ import annotations

from pathlib import Path

from ddcore.data import load_data
from ddcore.errors import InputDataError
from ddcore.parts import TargetData
from ddcore.summary import DataSummary


def given(summary: object, target: object) -> tuple[DataSummary | TargetData, TargetData]:
    """Return a summary and the data that it is tested on.

    Args:
        summary: itself, or the path where it was saved; or data, whose training split stands for
            it.
        target: the data; or a name or path of data, which is loaded as the summary's were
            (``like=summary.spec``).

    Raises:
        InputDataError: one is no summary or no data, or both are swapped.
        SummaryFormatError: there is no summary at the path.
    """
    if isinstance(target, DataSummary):
        swapped = ": the arguments are swapped" if isinstance(summary, TargetData | str | Path) else ""
        raise InputDataError(f"the first argument is the summary, the second the data that it is tested on{swapped}")
    if isinstance(summary, str | Path):
        summary = DataSummary.load(summary)
    if not isinstance(summary, DataSummary | TargetData):
        raise InputDataError(f"what is evaluated must be a DataSummary or its path, not {type(summary).__name__}")
    if isinstance(target, str | Path):
        target = load_data(target, like=summary.spec)
    if not isinstance(target, TargetData):
        raise InputDataError(
            f"target must be a TargetData, or a name or path of data, not {type(target).__name__}: load it with "
            "load_data(..., like=summary.spec)"
        )
    return summary, target


def given_summary(summary: object, target: object) -> tuple[DataSummary, TargetData]:
    """Return what `given` returns, where real data in place of a summary will not do."""
    found, data = given(summary, target)
    if not isinstance(found, DataSummary):
        raise InputDataError("what is evaluated here must be a DataSummary or its path, not real data")
    return found, data
