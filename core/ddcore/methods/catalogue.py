"""The table of published methods: a new one is a new file and one entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ddcore.errors import UnknownNameError
from ddcore.method import Method
from ddcore.methods.dm import dm
from ddcore.methods.selection import forgetting, herding, k_center, random


@dataclass(frozen=True)
class Published:
    """A published method.

    Attributes:
        build: returns the method for an ``ipc`` and a ``preset``.
        paper: its source, in short.
        measured: what has been measured of it (docs/results.md has the numbers).
    """

    build: Callable[..., Method]
    paper: str
    measured: str

    @property
    def name(self) -> str:
        """The name by which the method is chosen."""
        return self.build.__name__

    def describe(self) -> dict[str, Any]:
        """Return the entry of ``ddapps methods --json``."""
        paper, cpu = self.build(ipc=1, preset="paper"), self.build(ipc=1, preset="cpu")
        return {
            "name": self.name,
            "family": paper.matching.family if paper.matching else "selection",
            "factorization": paper.factorization.name,
            "networks": type(paper.networks).__name__ if paper.matching else "none",
            "steps": {"paper": paper.steps, "cpu": cpu.steps},
            "paper": self.paper,
            "measured": self.measured,
        }


_DIGITS = "digits, ipc 1 and 10, protocols dc, dsa, quick"

METHODS: dict[str, Published] = {
    method.name: method
    for method in (
        Published(
            dm,
            "Zhao & Bilen 2023, arXiv:2110.04181",
            f"{_DIGITS}; MNIST, 1000 (ipc 1) and 300 (ipc 10) of 20 000 steps",
        ),
        Published(random, "baseline", _DIGITS),
        Published(herding, "Welling 2009", _DIGITS),
        Published(k_center, "Sener & Savarese 2018, arXiv:1708.00489", _DIGITS),
        Published(forgetting, "Toneva et al. 2019, arXiv:1812.05159", _DIGITS),
    )
}


def build_method(name: str, *, ipc: int | Mapping[int, int] = 10, preset: str = "paper") -> Method:
    """Return a published method by its name."""
    if name not in METHODS:
        raise UnknownNameError("method", name, METHODS)
    return METHODS[name].build(ipc=ipc, preset=preset)
