"""One body, and a new linear head for every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from ddcore.errors import UnsupportedError
from ddcore.ground.devices import to_device
from ddcore.parts import Architecture, Network, Networks, NetworkSource, Run, Usual, suited_architecture, weights_sha256
from ddcore.settings import require


@dataclass(frozen=True)
class FreshHeads(NetworkSource):
    """Every step matches on a new random classifier. What is before it stays as it is.

    Attributes:
        architecture: `ddcore.networks.LinearProbe` of a trained module; or any other, whose body
            then keeps its first random weights.
        std: standard deviation of a classifier's weights. Its biases are 0.

    Source: Cazenavette et al. 2025 (arXiv:2511.16674) and its code.
    """

    architecture: Architecture = field(default_factory=Usual)
    std: float = 0.01

    def __post_init__(self) -> None:
        require(0 < self.std < float("inf"), f"std must be above 0, not {self.std}")

    def given_weights(self) -> list[tuple[str, str]]:
        body = getattr(self.architecture, "body", None)
        return [] if body is None else [(type(body).__name__, weights_sha256(body))]

    def start(self, run: Run) -> Networks:
        return _FreshHeads(self, run)


class _FreshHeads(Networks):
    def __init__(self, settings: FreshHeads, run: Run) -> None:
        self._std, self._run = settings.std, run
        seed, spec = run.derive_seed("network", 0), run.spec
        architecture = suited_architecture(settings.architecture, spec).pick(seed)
        network = architecture.build(spec.shape, spec.num_classes, seed=seed, dtype=run.dtype).to(run.device)
        head = network.module.get_submodule(network.head)
        if not isinstance(head, nn.Linear):
            raise UnsupportedError(f"the classifier {network.head!r} is a {type(head).__name__}, not a linear layer")
        network.requires_grad_(False)
        network.eval()
        if run.compiled:
            network.compile_passes()
        self._network, self._head = network, head
        self._draw()

    def _draw(self) -> None:
        random = torch.Generator().manual_seed(self._run.derive_seed("head", self.episode))
        weight = self._head.weight
        with torch.no_grad():
            weight.copy_(to_device(self._std * torch.randn(weight.shape, generator=random), weight.device))
            if self._head.bias is not None:
                self._head.bias.zero_()

    def current(self) -> Sequence[Network]:
        return (self._network,)

    def advance(self) -> None:
        self.episode += 1
        self._draw()

    def load_state_dict(self, state: dict[str, object]) -> None:
        super().load_state_dict(state)
        self._draw()
