"""How many real examples a step asks for."""

from __future__ import annotations

from ddcore.parts import Counts, Run, shared_out
from ddcore.settings import require_counts


def check_real_count(real_batch: int, real_total: int | None) -> None:
    """Raise `SettingsError` unless both are numbers of examples."""
    require_counts(real_batch=real_batch, real_total=1 if real_total is None else real_total)


def real_count(run: Run, real_batch: int, real_total: int | None) -> Counts:
    """Return how many examples of each class are asked for.

    ``real_batch``, or their share of ``real_total``, one at least.
    """
    if real_total is None:
        return real_batch
    classes = run.examples.classes
    return shared_out(max(real_total, len(classes)), classes, run.generator("real-shares"))
