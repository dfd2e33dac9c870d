"""Which protocol a name means."""

from __future__ import annotations

from ddcore.errors import UnknownNameError, UnsupportedError
from ddcore.parts import TargetData
from ddcore.summary import DataSummary
from ddcore.training import PROTOCOLS, Protocol

PAPER = "paper"
"""The name that stands for the protocol of a summary's own method."""

KERNEL = "krr"
"""What reports of kernel regression are called. It trains no networks."""


def as_protocol(given: str | Protocol, summary: DataSummary | TargetData | None = None) -> Protocol:
    """Return a protocol from its name. ``paper`` is that of the method that made ``summary``.

    Raises:
        UnsupportedError: the summary's method names no protocol.
    """
    if isinstance(given, Protocol):
        return given
    if given == PAPER:
        given = _protocol_of(summary)
    if given == KERNEL:
        raise UnsupportedError(
            f"{KERNEL!r} is kernel regression, which trains no networks: use evaluate_kernel(summary, target) without "
            "networks= (on the command line: --protocol krr)"
        )
    if given not in PROTOCOLS:
        raise UnknownNameError("protocol", given, [*PROTOCOLS, PAPER])
    return PROTOCOLS[given]


def recorded_protocol(summary: DataSummary) -> str | None:
    """Return the name of the protocol by which the source of a summary's method evaluates.

    None: the summary records none.
    """
    method = summary.record.get("method")
    name = method.get("protocol") if isinstance(method, dict) else None
    return name if isinstance(name, str) else None


def _protocol_of(summary: DataSummary | TargetData | None) -> str:
    if summary is None:
        raise UnsupportedError(
            f"{PAPER!r} is the protocol of one summary's method: choose one of {', '.join(PROTOCOLS)}"
        )
    name = recorded_protocol(summary) if isinstance(summary, DataSummary) else None
    if name is None:
        raise UnsupportedError(
            f"what is evaluated names no protocol of its own method: choose one of {', '.join(PROTOCOLS)}"
        )
    return name
