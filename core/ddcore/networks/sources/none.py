"""No networks at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ddcore.networks.network import Network
from ddcore.networks.sources.base import Networks, NetworkSource

if TYPE_CHECKING:
    from ddcore.run import Run


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

    def advance(self, run: Run) -> None:
        self.episode += 1
