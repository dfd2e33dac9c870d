"""`Protocol`: how a new network is trained on a summary before it is tested."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ddcore.parts import Architecture, Usual
from ddcore.training.fit import Training


@dataclass(frozen=True)
class Protocol:
    """A named training schedule. The network's final iterate is tested, once.

    Attributes:
        name: shown in reports.
        training: the schedule.
        network: what is trained if the caller names no networks.
    """

    name: str
    training: Training = field(default_factory=Training)
    network: Architecture = field(default_factory=Usual)

    def with_epochs(self, epochs: int) -> Protocol:
        """Return the same protocol with another number of epochs, which its name says."""
        training = replace(self.training, epochs=epochs, updates={})
        return replace(self, name=f"{self.name}[epochs={epochs}]", training=training)


PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol("dc", Training(epochs=300)),
        Protocol("cafe", Training(epochs=600)),
        Protocol("linba", Training(epochs=300, batch_size=640, weight_decay=0.0, drop_at=1.0)),
        Protocol("quick", Training(epochs=200)),
    )
}
"""Protocols by name. A modality adds those that augment its examples.

``quick`` is ours. The others are those of the methods whose names they have (docs/evaluation.md).
"""
