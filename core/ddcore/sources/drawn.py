"""Networks whose weights are drawn anew for every episode.

They are the base of fresh networks and of trained ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ddcore.ground.devices import together_to_device
from ddcore.parts import Architecture, Network, Networks, Run, suited_architecture
from ddcore.sources.settle import settle


class DrawnNetworks(Networks):
    """One network at a time. Its weights follow from (seed, stream, episode).

    A subclass says when a network gives way to the next. If it trains with an optimiser, it makes
    that in `draw`, and checkpoints hold it beside the network. A module is built once per
    architecture. Later weights are copied into it, so that compiled code stays valid.

    Args:
        architecture: of the networks. ``OneOf`` picks one for each episode.
        run: gives seed and device.
        stream: tells apart the networks of several such objects in one run.
    """

    def __init__(self, architecture: Architecture, run: Run, stream: int = 0) -> None:
        self._architecture = suited_architecture(architecture, run.spec)
        self._run = run
        self._stream = stream
        self._held: dict[int, Network] = {}
        self._optimiser: torch.optim.Optimizer | None = None
        self.draw(0)

    def draw(self, episode: int) -> None:
        """Take up the network of an episode, at age 0."""
        self.episode, self.age = episode, 0
        run, spec = self._run, self._run.spec
        seed = run.derive_seed("network", *([self._stream] if self._stream else []), episode)
        architecture = self._architecture.pick(seed)
        held = self._held.get(id(architecture))
        head = None if held is None else held.head
        drawn = architecture.build(spec.shape, spec.num_classes, seed=seed, dtype=run.dtype, head=head)
        if held is None or _shapes(held) != _shapes(drawn):
            drawn.require_statistics()
            held = self._held[id(architecture)] = drawn.to(run.device)
            held.requires_grad_(False)
            if run.compiled:
                held.compile_passes()
        else:
            _copy(drawn.state_dict(), held)
        self._network = held
        settle(held, run)

    def current(self) -> Sequence[Network]:
        return (self._network,)

    def state_dict(self) -> dict[str, Any]:
        optimiser = {} if self._optimiser is None else {"optimiser": self._optimiser.state_dict()}
        return super().state_dict() | {"network": dict(self._network.state_dict())} | optimiser

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.draw(state["episode"])
        self.age = state["age"]
        _copy(state["network"], self._network)
        if self._optimiser is not None:
            self._optimiser.load_state_dict(state["optimiser"])


def _shapes(network: Network) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def _copy(new: dict[str, torch.Tensor], network: Network) -> None:
    with torch.no_grad():
        held = network.state_dict()
        sent = together_to_device([new[name] for name in held], next(iter(held.values())).device)
        for tensor, there in zip(held.values(), sent, strict=True):
            tensor.copy_(there, non_blocking=True)
