"""A freshly drawn network for every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from ddcore.engine.devices import to_device
from ddcore.networks.architecture import Architecture
from ddcore.networks.convnet import ConvNet
from ddcore.networks.network import Network
from ddcore.networks.sources.base import Networks, NetworkSource

if TYPE_CHECKING:
    from ddcore.run import Run


@dataclass(frozen=True)
class FreshNetworks(NetworkSource):
    """Every step matches on a new random network; it is not trained."""

    architecture: Architecture = field(default_factory=ConvNet)

    def start(self, run: Run) -> Networks:
        return _Fresh(self.architecture, run)


class _Fresh(Networks):
    def __init__(self, architecture: Architecture, run: Run) -> None:
        self._architecture = architecture
        self._run = run
        self._network = self._draw(episode=0, head=None)
        for parameter in self._network.parameters():
            parameter.requires_grad_(False)
        self._network.to(run.device)
        if run.compiled:
            self._network.compile_features()

    def _draw(self, episode: int, head: str | None) -> Network:
        spec, seed = self._run.spec, self._run.derive_seed("network", episode)
        return self._architecture.build(spec.shape, spec.num_classes, seed=seed, dtype=self._run.dtype, head=head)

    def current(self) -> Sequence[Network]:
        return (self._network,)

    def advance(self, run: Run) -> None:
        self.episode += 1
        self._take(self._draw(self.episode, self._network.head))

    def _take(self, drawn: Network) -> None:
        with torch.no_grad():
            for held, new in zip(self._network.state_dict().values(), drawn.state_dict().values(), strict=True):
                held.copy_(to_device(new, held.device), non_blocking=True)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._take(self._draw(self.episode, self._network.head))
