"""Networks whose weights lie in a ball around given ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ddcore.parts import (
    Architecture,
    FeaturesAndLogits,
    Network,
    Networks,
    NetworkSource,
    Redrawn,
    Run,
    find_head,
    plain_copy,
    weights_sha256,
)
from ddcore.settings import require


@dataclass(frozen=True)
class PerturbedNetworks(NetworkSource):
    r"""Each step matches on weights that are drawn anew around those of a given module.

    .. math:: w = w_0 + g \min(1, \rho / \|g\|), \qquad g \sim \mathcal N(0, I)

    The norm is that of all weights together. With more than a few hundred of them, w lies on the
    sphere of radius :math:`\rho`.

    Attributes:
        module: has the weights :math:`w_0`. It is copied.
        radius: :math:`\rho`. With 0 the weights stay as they are.
        logits: whether features end with the logits, so that the means of both are matched.

    Source: Xiong et al. 2022 (arXiv:2207.09653).
    """

    module: nn.Module
    radius: float = 5.0
    logits: bool = True

    def __post_init__(self) -> None:
        require(0 <= self.radius < float("inf"), f"the radius must not be negative, it is {self.radius}")

    @property
    def architecture(self) -> Architecture:
        """The module's architecture."""
        return Redrawn(self.module)

    def start(self, run: Run) -> Networks:
        return _Perturbed(self, run)

    def describe(self) -> dict[str, Any]:
        """Record the class and a hash of the weights."""
        return {
            "type": "PerturbedNetworks",
            "module": [type(self.module).__name__, weights_sha256(self.module)],
            "radius": self.radius,
            "logits": self.logits,
        }


class _Perturbed(Networks):
    def __init__(self, settings: PerturbedNetworks, run: Run) -> None:
        self._run = run
        self._radius = settings.radius
        module = plain_copy(settings.module).to(run.device, run.dtype)
        kind = FeaturesAndLogits if settings.logits else Network
        self._network = kind(module, find_head(module, run.spec.shape, run.spec.num_classes))
        self._network.require_independent_examples()
        self._network.requires_grad_(False)
        self._network.eval()
        if run.compiled:
            self._network.compile_passes()
        self._centre = [w.detach().clone() for w in module.parameters()]
        self._draw()

    def _draw(self) -> None:
        random = torch.Generator().manual_seed(self._run.derive_seed("perturbation", self.episode))
        self._network.copy_weights(perturbed(self._centre, self._radius, random))

    def current(self) -> Sequence[Network]:
        return (self._network,)

    def advance(self) -> None:
        self.episode += 1
        self._draw()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"network": dict(self._network.state_dict())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._network.load_state_dict(state["network"])


def perturbed(weights: Sequence[Tensor], radius: float, random: torch.Generator) -> list[Tensor]:
    """Return weights plus standard normal noise. Longer noise is shortened to ``radius``."""
    noise = [torch.randn(w.shape, generator=random).to(w.device, w.dtype) for w in weights]
    norm = float(torch.stack([g.square().sum() for g in noise]).sum().sqrt())
    return [w + g * min(1.0, radius / max(norm, 1e-12)) for w, g in zip(weights, noise, strict=True)]
