"""Every error that the library raises on purpose.

They have one root, and each one is also a standard error. A message says what was given, what is
allowed and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Setting:
    """A keyword argument that a message names. The command line says its option instead.

    Attributes:
        name: of the argument.
        value: what to give it; None: what fits.
        call: how Python says it, if that is more than ``name=value``.
    """

    name: str
    value: object = None
    call: str | None = None

    def __str__(self) -> str:
        return self.call or f"{self.name}={'' if self.value is None else repr(self.value)}"


class DistillationError(Exception):
    """Root of the tree: catching it catches every deliberate error of ddcore and ddapps.

    Args:
        parts: of the message: text, and a `Setting` where it names a keyword argument.
    """

    def __init__(self, *parts: object) -> None:
        super().__init__("".join(map(str, parts)))
        self.parts = parts

    def said(self, named: Callable[[Setting], str]) -> str:
        """Return the message with its settings in other words.

        Args:
            named: returns those of a setting.
        """
        return "".join(named(part) if isinstance(part, Setting) else str(part) for part in self.parts)


class DistillationWarning(UserWarning):
    """What runs, but hardly as it was meant. The text says what to do."""


DAMAGES = (LookupError, TypeError, ValueError, OverflowError, AttributeError, RuntimeError, MemoryError, OSError)
"""What a damaged or hostile file may raise where it is read."""


class InputDataError(DistillationError, ValueError):
    """Data that cannot be distilled as given: wrong shape, not finite, empty, mislabelled."""


class SettingsError(DistillationError, ValueError):
    """A setting outside of what it allows, or parts that do not fit together."""


class BudgetError(DistillationError, ValueError):
    """A budget that the data cannot fill, such as more examples per class than a class has."""


def did_you_mean(given: object, known: Iterable[object]) -> str:
    """Return `` (did you mean 'dm'?)`` for the known name that is most like the given one.

    Case does not count, nor do settings in brackets after the name. The text is empty where no name
    is like it. It is meant to stand right behind the given name in a message.

    Args:
        given: what a user wrote.
        known: the names that there are. Those with a slash, such as ``path/to/file``, are no names.
    """
    by_lower = {name.lower(): name for name in map(str, known) if "/" not in name}
    wanted = str(given).partition("(")[0].strip().lower()[:100]
    found = get_close_matches(wanted, by_lower, n=1)
    return f" (did you mean {by_lower[found[0]]!r}?)" if found else ""


class UnknownNameError(DistillationError, ValueError):
    """A name that nothing carries."""

    def __init__(self, kind: str, given: object, known: Iterable[object]) -> None:
        names = sorted(map(str, known))
        super().__init__(f"unknown {kind} {given!r}{did_you_mean(given, names)}: choose one of {', '.join(names)}")


class UnsupportedError(DistillationError, TypeError):
    """A combination that the mathematics or the method rules out."""


class SummaryFormatError(DistillationError, ValueError):
    """A stored summary that is damaged, hostile, or of an unknown version."""


class CheckpointError(DistillationError, RuntimeError):
    """A checkpoint that is damaged or belongs to another run."""


class ProcessGroupError(DistillationError, RuntimeError):
    """Processes of one run that do not do the same, or of which one has ended."""


class DeviceMemoryError(DistillationError, MemoryError):
    """What does not fit the memory of a device, however little is computed at once."""


class WorkerError(DistillationError, RuntimeError):
    """A call whose process died whenever it was made."""


class NoReplyError(DistillationError, RuntimeError):
    """A federated run in which no reply of any client counted."""


class OutputExistsError(DistillationError, FileExistsError):
    """The destination already holds another result."""


class AddressError(DistillationError, OSError):
    """A file at an address that cannot be fetched or written within its bounds."""


class ClaimError(DistillationError, ValueError):
    """A summary's card that says what is not true."""


class WritingError(DistillationError, OSError):
    """A file that cannot be written: the disk is full, or the folder may not be written to."""

    def __init__(self, path: object, nbytes: int, error: OSError) -> None:
        super().__init__(
            f"{path} cannot be written ({nbytes} bytes): {error.strerror or error}. Free space or choose another place; "
            "what was there before is kept"
        )


class CertificateError(SummaryFormatError):
    """A privacy certificate that is missing, damaged, or contradicts itself."""


class LedgerError(DistillationError, RuntimeError):
    """A privacy ledger that is damaged, of other data, or in use by another run."""


class MissingExtraError(DistillationError, ImportError):
    """A part of the library whose packages are not installed."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs {package}: pip install -e '.[{extra}]' in a checkout, pip install 'FILE.whl[{extra}]' of a wheel"
        )


class NumericalError(DistillationError, ArithmeticError):
    """Numbers outside the range of a computation: a singular kernel, a negative step size."""


class DivergenceError(NumericalError):
    """A run cannot go on: its loss was not finite, or a computation of its method was not defined.

    Attributes:
        step: the step at which it happened, counted from 0.
        summary: the last good state, a `ddcore.DataSummary`.
        reason: what was not defined. None: the loss was not finite.
    """

    def __init__(
        self, step: int, summary: Any, reason: str | None = None, *, kept_in: object = "the error's `summary`"
    ) -> None:
        happened = f"step {step}: {reason}" if reason else f"the loss of step {step} is not finite"
        advice = "" if reason else ". Lower the learning rate, or check the data for extreme values"
        super().__init__(f"{happened}; the state before it is kept in {kept_in}{advice}")
        self.step = step
        self.summary = summary
        self.reason = reason

    def saved_in(self, directory: Path) -> DivergenceError:
        """Save the last good state, and return this error with a message that says where."""
        place = self.summary.save(directory, overwrite=True)
        return DivergenceError(self.step, self.summary, self.reason, kept_in=place)


class ExpertsError(DistillationError, ValueError):
    """Experts that cannot be used.

    They are damaged, of another network, data or normalisation, or too few or short for what is
    asked of them.
    """


class TeacherError(DistillationError, ValueError):
    """A teacher that is missing, damaged, of other data, or without what is asked of it."""


class CandidateError(NumericalError):
    """An architecture that cannot be scored: its network crashed, or its training diverged."""
