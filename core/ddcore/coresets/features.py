"""The space in which a rule measures distances."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ddcore.errors import UnknownNameError
from ddcore.parts import Architecture, Pool, Recipe, Usual, suited_architecture, suited_augmentation
from ddcore.settings import require
from ddcore.training import PROTOCOLS, Training, fit

SPACES = ("inputs", "network")


@dataclass(frozen=True)
class FeatureSpace:
    """Where distances between examples are taken.

    Attributes:
        kind: ``inputs`` (normalised), or ``network``: the input of the last linear layer of a
            network that is trained on the whole training split.
        architecture: of that network.
        epochs: of its training (SGD .01, momentum .9, batch 256, as in protocol ``dc``).
        protocol: name of a protocol by which it is trained instead, to its final weights.
    """

    kind: str = "inputs"
    architecture: Architecture = field(default_factory=Usual)
    epochs: int = 20
    protocol: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in SPACES:
            raise UnknownNameError("feature space", self.kind, SPACES)
        require(self.epochs > 0, f"epochs must be above 0, not {self.epochs}")
        if self.protocol is not None and self.protocol not in PROTOCOLS:
            raise UnknownNameError("protocol", self.protocol, PROTOCOLS)

    def embed(self, pool: Pool, generator: torch.Generator) -> Tensor:
        """Return one row per example, ``n x d``, on the CPU."""
        rows = torch.arange(len(pool)).split(64)
        if self.kind == "inputs":
            return torch.cat([pool.batch(i).inputs.flatten(1).cpu() for i in rows])
        seed = int(torch.randint(2**62, (1,), generator=generator))
        architecture = suited_architecture(self.architecture, pool.spec)
        network = architecture.build(pool.spec.shape, pool.spec.num_classes, seed=seed).to(pool.device)
        training = Training(epochs=self.epochs)
        if self.protocol is not None:
            named = PROTOCOLS[self.protocol].training
            training = replace(named, keep="final", augmentation=suited_augmentation(named.augmentation, pool.spec))
        recipe = Recipe(pool.spec.task.loss("cross_entropy"))
        fit(network, pool.batch, len(pool), training, generator=generator, recipe=recipe)
        with torch.no_grad():
            network.eval()
            return torch.cat([network.features(pool.batch(i).inputs).cpu() for i in rows])
