"""Evaluation protocols: how long and how a fresh network is trained on a summary."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ddcore.augmentation import SiameseAugmentation
from ddcore.errors import UnknownNameError
from ddcore.training import Training


@dataclass(frozen=True)
class Protocol:
    """A named training schedule. The network's final iterate is tested, once.

    Attributes:
        name: shown in reports.
        training: the schedule.
    """

    name: str
    training: Training = field(default_factory=Training)

    def with_epochs(self, epochs: int) -> Protocol:
        """Return the same protocol, another length; the name says so."""
        return Protocol(f"{self.name}[epochs={epochs}]", replace(self.training, epochs=epochs))


PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol("dc", Training(epochs=300)),
        Protocol("dsa", Training(epochs=1000, augmentation=SiameseAugmentation())),
        Protocol("quick", Training(epochs=200)),
    )
}


def as_protocol(given: str | Protocol) -> Protocol:
    """Return a protocol from its name."""
    if isinstance(given, Protocol):
        return given
    if given not in PROTOCOLS:
        raise UnknownNameError("protocol", given, PROTOCOLS)
    return PROTOCOLS[given]
