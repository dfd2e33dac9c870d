"""How many real examples a step asks for."""

from __future__ import annotations

from collections.abc import Sequence

from ddcore.parts import Counts, Run, shared_out
from ddcore.settings import require_counts


def check_real_count(real_batch: int, real_total: int | None) -> None:
    """Raise `SettingsError` unless both are numbers of examples."""
    require_counts(real_batch=real_batch, real_total=1 if real_total is None else real_total)


def real_count(run: Run, real_batch: int, real_total: int | None, classes: Sequence[int] | None = None) -> Counts:
    """Return how many examples of each class are asked for.

    ``real_batch``, or their share of ``real_total``, one at least. The classes are those that have
    synthetic examples, if none are given.
    """
    if real_total is None:
        return real_batch
    classes = run.examples.classes if classes is None else classes
    return shared_out(max(real_total, len(classes)), classes, run.generator("real-shares"))
