"""Where the networks of a run come from: theta drawn from a distribution P."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from ddcore.parts.network import Network
from ddcore.parts.networks import Networks
from ddcore.parts.run import Run


class NetworkSource(ABC):
    """Settings of where networks come from."""

    def asks(self) -> frozenset[str]:
        """Return the questions that it asks of the real signal for networks without BatchNorm: none, or ``batch``."""
        return frozenset()

    def at_a_time(self) -> int:
        """Return how many networks it gives for one step."""
        return 1

    @abstractmethod
    def start(self, run: Run) -> Networks:
        """Return the networks of one run."""


class SegmentSource(NetworkSource):
    """A source whose networks are `Segments`: what trajectory matching needs."""


@dataclass(frozen=True)
class NoNetworks(NetworkSource):
    """For matchings that need none: an analytic kernel stands for networks of infinite width."""

    def at_a_time(self) -> int:
        return 0

    def start(self, run: Run) -> Networks:
        return _None()


class _None(Networks):
    def current(self) -> Sequence[Network]:
        return ()

    def advance(self) -> None:
        self.episode += 1
