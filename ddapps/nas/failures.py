"""What a candidate's own code raises, told from what is the machine's fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ddcore.errors import CandidateError, MissingExtraError


@contextmanager
def failures_of_a_candidate() -> Iterator[None]:
    """Turn whatever a candidate's code raises into `CandidateError`."""
    try:
        yield
    except (CandidateError, MissingExtraError, MemoryError, OSError):
        raise  # the last two are the machine's
    except Exception as error:
        raise CandidateError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
