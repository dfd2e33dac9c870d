"""A freshly drawn network for every step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ddcore.networks.architecture import Architecture
from ddcore.networks.convnet import ConvNet
from ddcore.networks.sources.base import Networks, NetworkSource
from ddcore.networks.sources.drawn import DrawnNetworks

if TYPE_CHECKING:
    from ddcore.run import Run


@dataclass(frozen=True)
class FreshNetworks(NetworkSource):
    """Every step matches on a new random network; it is not trained."""

    architecture: Architecture = field(default_factory=ConvNet)

    def start(self, run: Run) -> Networks:
        return _Fresh(self.architecture, run)


class _Fresh(DrawnNetworks):
    def advance(self, run: Run) -> None:
        self.draw(self.episode + 1)
