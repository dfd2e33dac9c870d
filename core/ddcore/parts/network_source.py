"""What a network source is: where the networks of a run come from.

In the survey's words it is the distribution P from which theta is drawn.
"""

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
        """Return the questions that it asks of the real signal: none, or ``batch``.

        It is the answer for networks without BatchNorm. Teachers say ``teacher``: they have seen
        real examples before the run.
        """
        return frozenset()

    def at_a_time(self) -> int:
        """Return how many networks it gives for one step."""
        return 1

    def given_weights(self) -> list[tuple[str, str]]:
        """Return class and hash of every module that was given with its weights."""
        return []

    @abstractmethod
    def start(self, run: Run) -> Networks:
        """Return the networks of one run."""


class SegmentSource(NetworkSource):
    """A source whose networks are `Segments`: what trajectory matching needs."""


@dataclass(frozen=True)
class NoNetworks(NetworkSource):
    """No networks, for matchings that need none, such as those by an analytic kernel.

    Such a kernel stands for networks of infinite width.
    """

    def at_a_time(self) -> int:
        return 0

    def start(self, run: Run) -> Networks:
        return _None()


class _None(Networks):
    def current(self) -> Sequence[Network]:
        return ()

    def advance(self) -> None:
        self.episode += 1
