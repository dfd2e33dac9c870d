"""`Protocol`: how a new network is trained on a summary before it is tested."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ddcore.errors import UnknownNameError
from ddcore.parts import Architecture, Labelling, Usual
from ddcore.training.fit import Training

HARD = "hard"


@dataclass(frozen=True)
class Protocol:
    """A named training schedule. The network's final iterate is tested, once.

    Attributes:
        name: shown in reports.
        training: the schedule.
        network: what is trained if the caller names no networks.
        labels: on which labels it is trained, whatever a summary has: ``hard``, those of its
            classes; or what makes others of teachers. None: those of the summary.
    """

    name: str
    training: Training = field(default_factory=Training)
    network: Architecture = field(default_factory=Usual)
    labels: str | Labelling | None = None

    def __post_init__(self) -> None:
        if isinstance(self.labels, str) and self.labels != HARD:
            raise UnknownNameError("labels of a protocol", self.labels, [HARD])

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
