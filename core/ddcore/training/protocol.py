"""`Protocol`: how long and how a fresh network is trained on a summary, to be tested once."""

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
        network: what is trained unless the caller names networks; the usual one is that of the
            data's modality.
    """

    name: str
    training: Training = field(default_factory=Training)
    network: Architecture = field(default_factory=Usual)

    def with_epochs(self, epochs: int) -> Protocol:
        """Return the same protocol, another length; the name says so."""
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
"""Schedules by name; those that augment are added by their modality.

``quick`` is ours, the others are those of the methods that they are named after
(docs/evaluation.md).
"""
