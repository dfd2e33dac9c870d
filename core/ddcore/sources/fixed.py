"""Networks that stay as they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ddcore.errors import SettingsError
from ddcore.parts import Network, Networks, NetworkSource, Run, find_head, plain_copy, weights_sha256


@dataclass(frozen=True)
class FixedNetworks(NetworkSource):
    """The given modules with the weights they have, one per step in turn.

    They are copied, and never trained. A module with BatchNorm must be in evaluation mode, where
    its statistics are fixed.
    """

    modules: tuple[nn.Module, ...]

    def __post_init__(self) -> None:
        if not self.modules or not all(isinstance(m, nn.Module) for m in self.modules):
            raise SettingsError("FixedNetworks needs a tuple of at least one nn.Module")

    def start(self, run: Run) -> Networks:
        spec, networks = run.spec, []
        for module in self.modules:
            copied = plain_copy(module).to(run.device, run.dtype)
            networks.append(Network(copied, find_head(copied, spec.shape, spec.num_classes)))
        return InTurn(networks, run)

    def describe(self) -> dict[str, Any]:
        """Record every module's class and the hash of its weights."""
        return {"type": "FixedNetworks", "modules": [list(given) for given in self.given_weights()]}

    def given_weights(self) -> list[tuple[str, str]]:
        return [(type(module).__name__, weights_sha256(module)) for module in self.modules]


class InTurn(Networks):
    """Networks that are trained no more, one per step in turn."""

    def __init__(self, networks: Sequence[Network], run: Run) -> None:
        self._networks = networks
        for network in networks:
            network.require_independent_examples()
            network.eval()
            network.requires_grad_(False)
            if run.compiled:
                network.compile_passes()

    def current(self) -> Sequence[Network]:
        return (self._networks[self.turn],)

    @property
    def turn(self) -> int:
        return self.episode % len(self._networks)

    def advance(self) -> None:
        self.episode += 1
