"""Evaluation protocols: how long and how a fresh network is trained on a summary."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ddcore.errors import UnknownNameError, UnsupportedError
from ddcore.images import FAMILIES, Chain, ConvNet, CutMix, OneMove, ResNet18, SiameseAugmentation
from ddcore.parts import Architecture, Augmentation, TargetData
from ddcore.summary import DataSummary
from ddcore.training import Training

PAPER = "paper"
"""The name that stands for the protocol of a summary's own method."""


@dataclass(frozen=True)
class Protocol:
    """A named training schedule. The network's final iterate is tested, once.

    Attributes:
        name: shown in reports.
        training: the schedule.
        network: what is trained unless the caller names networks.
    """

    name: str
    training: Training = field(default_factory=Training)
    network: Architecture = field(default_factory=ConvNet)

    def with_epochs(self, epochs: int) -> Protocol:
        """Return the same protocol, another length; the name says so."""
        training = replace(self.training, epochs=epochs, updates={})
        return replace(self, name=f"{self.name}[epochs={epochs}]", training=training)


def _idc(*augmentations: Augmentation) -> Training:
    families = ("flip",), ("color",), ("crop", "scale", "rotate")
    views = (*(SiameseAugmentation(f) for f in families), *augmentations)
    return Training(
        epochs=1000, batch_size=64, drop_at=(2 / 3, 5 / 6), drop=0.2, restart=False, augmentation=Chain(views)
    )


def _frepo(name: str, families: tuple[str, ...]) -> Protocol:
    training = Training(
        updates={10: 1000, 100: 2000, 200: 20_000, 400: 5000, 1000: 10_000, 2000: 40_000},
        optimiser="adam",
        learning_rate=3e-4,
        batch_size=500,
        drop_at=1.0,
        warmup=500,
        cosine=0.01,
        augmentation=SiameseAugmentation(families, brightness=0.5, scale=1.25, cutout=0.25),
    )
    return Protocol(name, training, ConvNet(norm="none", widening=2, init="lecun"))


PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol("dc", Training(epochs=300)),
        Protocol("dc-mnist", Training(epochs=1000, augmentation=OneMove())),
        Protocol("dsa", Training(epochs=1000, augmentation=SiameseAugmentation())),
        Protocol("idc", _idc(CutMix(0.5))),
        Protocol("idc-mnist", _idc()),
        Protocol("cafe", Training(epochs=600)),
        Protocol("it-gan", Training(epochs=200, augmentation=SiameseAugmentation()), ResNet18(norm="batch")),
        Protocol("linba", Training(epochs=300, batch_size=640, weight_decay=0.0, drop_at=1.0)),
        Protocol("datm", Training(epochs=1000, batch_size=128, augmentation=SiameseAugmentation())),
        _frepo("frepo", FAMILIES),
        _frepo("frepo-grey", tuple(f for f in FAMILIES if f != "flip")),
        Protocol("quick", Training(epochs=200)),
    )
}
"""``quick`` is ours, the others are those of the methods that they are named after (docs/evaluation.md)."""


def as_protocol(given: str | Protocol, summary: DataSummary | TargetData | None = None) -> Protocol:
    """Return a protocol from its name; ``paper`` is that of the method that made ``summary``.

    Raises:
        UnsupportedError: the summary's method names no protocol.
    """
    if isinstance(given, Protocol):
        return given
    if given == PAPER:
        given = _protocol_of(summary)
    if given not in PROTOCOLS:
        raise UnknownNameError("protocol", given, [*PROTOCOLS, PAPER])
    return PROTOCOLS[given]


def recorded_protocol(summary: DataSummary) -> str | None:
    """Return the name of the protocol that the source of a summary's method evaluates by, where one is recorded."""
    method = summary.record.get("method")
    name = method.get("protocol") if isinstance(method, dict) else None
    return name if isinstance(name, str) else None


def _protocol_of(summary: DataSummary | TargetData | None) -> str:
    if summary is None:
        raise UnsupportedError(
            f"{PAPER!r} is the protocol of one summary's method: choose one of {', '.join(PROTOCOLS)}"
        )
    name = recorded_protocol(summary) if isinstance(summary, DataSummary) else None
    if name is None:
        raise UnsupportedError(
            f"what is evaluated names no protocol of its own method: choose one of {', '.join(PROTOCOLS)}"
        )
    if name == "krr":
        raise UnsupportedError(
            "the method's source evaluates by kernel regression: use evaluate_kernel, or --protocol krr"
        )
    return name
