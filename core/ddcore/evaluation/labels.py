"""The labels that a protocol trains on."""

from __future__ import annotations

import torch

from ddcore.errors import TeacherError, UnsupportedError
from ddcore.parts import TargetData
from ddcore.settings import with_every
from ddcore.summary import DataSummary
from ddcore.training import HARD, Protocol, Teacher


def under_labels(
    summary: DataSummary | TargetData,
    protocol: Protocol,
    teachers: tuple[Teacher, ...],
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> DataSummary | TargetData:
    """Return a summary with the labels that a protocol trains on.

    Labels of the same kind that a summary has already stay. So do those of a summary that nobody
    asks to change.

    Args:
        summary: a `TargetData` has hard labels, and no others.
        protocol: says which.
        teachers: give labels that the summary lacks.
        seed: of the views of labels.
        device: where labels are computed.

    Raises:
        TeacherError: a teacher is needed; or one reads other data; or it is another than the one
            that made the labels which the summary has.
        UnsupportedError: real data shall get other labels than their own.
    """
    wanted = protocol.labels
    if wanted is None or (wanted == HARD and isinstance(summary, TargetData)):
        return summary
    if isinstance(summary, TargetData):
        raise UnsupportedError(
            f"protocol {protocol.name!r} labels the examples of a summary; all data are trained on under their own labels"
        )
    if isinstance(wanted, str):
        return summary.hard()
    if summary.labels is not None and summary.labels.kind in wanted.kinds():
        if teachers and {teacher.sha256 for teacher in teachers} != set(summary.labels.made_by):
            raise TeacherError(
                f"the summary has {summary.labels.kind!r} labels of another teacher than the one given: leave the teacher "
                "out, or label the summary anew (summary.labelled)"
            )
        return summary
    return summary.labelled(with_every(wanted, "teachers", teachers), seed=seed, device=device)
