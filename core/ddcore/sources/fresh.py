"""New networks for every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ddcore.parts import Architecture, Network, Networks, NetworkSource, Run, Usual
from ddcore.settings import require_counts
from ddcore.sources.drawn import DrawnNetworks


@dataclass(frozen=True)
class FreshNetworks(NetworkSource):
    """Every step matches on new random networks. They are not trained.

    Attributes:
        architecture: of the networks.
        count: networks at a time, for a matching that takes several.
    """

    architecture: Architecture = field(default_factory=Usual)
    count: int = 1

    def __post_init__(self) -> None:
        require_counts(count=self.count)

    def at_a_time(self) -> int:
        return self.count

    def start(self, run: Run) -> Networks:
        return _FreshNetworks([_Fresh(self.architecture, run, stream) for stream in range(self.count)])


class _Fresh(DrawnNetworks):
    def advance(self) -> None:
        self.draw(self.episode + 1)


class _FreshNetworks(Networks):
    def __init__(self, each: Sequence[_Fresh]) -> None:
        self._each = each

    def current(self) -> Sequence[Network]:
        return [network for drawn in self._each for network in drawn.current()]

    def advance(self) -> None:
        for drawn in self._each:
            drawn.advance()
        self.episode += 1

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"each": [drawn.state_dict() for drawn in self._each]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        for drawn, saved in zip(self._each, state["each"], strict=True):
            drawn.load_state_dict(saved)
