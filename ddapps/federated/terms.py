"""What client and server agree on before a run, as forms of exchange read it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import ddcore as dd
from ddapps.federated.transport import TRANSPORTS
from ddapps.sizing import Compression, Limit
from ddcore.errors import UnknownNameError
from ddcore.evaluation import Protocol, as_protocol
from ddcore.settings import require, require_counts

AUTO = "auto"
COUNTS = ("public", "noised", "withheld")
WEIGHTINGS = ("uniform", "counts")
SERVER_ALONE = (
    "fraction",
    "min_clients",
    "clients",
    "timeout",
    "weighting",
    "weight_cap",
    "screening",
    "protocol",
    "epochs",
    "updates",
)
"""Terms that clients have no use for."""
BATCH = 64
"""Examples of an update on the union, where `Terms.updates` counts them."""
EVERYTHING = 10**6
"""Examples per class, where all are sent."""


@dataclass(frozen=True)
class Terms(ABC):
    """What client and server agree on before a run. The form that they name is known one floor up.

    Attributes:
        form: what is exchanged, a key of ``FORMS``. Summaries are sent once (``one-shot``,
            ``dosfl``, ``fedd3``) or matched around the global model (``feddm``, ``fedmk``). Updates
            are sent as synthetic batches (``fedsynth``, ``goetz-tewari``), weights as they are
            (``fedavg``, ``fedprox``).
        method: that clients distil with. A name, or a matching and a factorization such as
            ``dm/multi-formation(factor=2)``; empty: the form's own. In code also a
            `ddcore.Method`, given to clients and server alike. ``auto``: the server chooses one on
            its validation split (`ddapps.federated.choosing`); needs ``bytes`` and ``clients``.
        ipc: items per class and client at most: images, or what a factorization decodes to several.
            A class with fewer examples gives as many as it has, one with none gives nothing.
        bytes: what a client's summary may store, such as ``20kB``, in place of ``ipc``; empty:
            ``ipc`` says it.
        preset: ``paper`` or ``cpu``, of the method.
        steps: replaces the method's number of steps; 0: it is the method's.
        max_seconds: of a client's distillation; 0: no limit.
        storage: of what is sent: ``uint8``, ``fp16`` or ``float32``.
        levels: grey levels of pixels that are stored in bytes, 2 to 256: fewer compress better.
        network: of clients and server, by its name.
        protocol: how the server trains on the union.
        epochs: replaces the protocol's; 0: they are the protocol's.
        updates: of `BATCH` examples each, in place of epochs; 0: epochs say it.
        rounds: of the whole run.
        fraction: share of the connected clients that a round asks.
        min_clients: how many must be connected before a round starts; it asks at least as many.
        clients: how many there are in all, where that is known; 0: it is not known. A run in which
            one answer is enough ends when all have given it. It waits for no dead connection.
        timeout: seconds that a round waits for replies.
        seed: of every random number that is not private noise.
        device: as in ``ddcore.distill``.
        weighting: what an example weighs: the same as all others of its class (``uniform``), or as
            many real examples as its client says it stands for (``counts``).
        weight_cap: the most that a client's own word may count: this many times the median of all.
        screening: whether a client's examples weigh less where they contradict the server's
            validation split.
        counts: whether class sizes are sent as they are (``public``), with noise that is paid for
            (``noised``), or not at all (``withheld``: then every client sends all classes). Other
            than ``public`` needs ``epsilon``.
        examples: public number of examples of a client; needed where counts are withheld.
        epsilon, delta: privacy of each client's examples over all rounds; epsilon 0: none.
        radius: of the ball around the global weights in which ``feddm`` and ``fedmk`` match.
        local_updates: of a client's training in a round, in place of ``local_epochs``; 0: local
            epochs say it.
        local_epochs, learning_rate, batch_size, momentum: of a client's training of the global
            model (updates and weights).
        proximal_mu: of ``fedprox``.
        transport: of weights: ``float32``, Flower's own; ``packed``, the same numbers, all in one
            losslessly compressed record; or ``uint8``, a byte each over the span of its array, in
            such a record.
        augmented: whether a client trains weights under the augmentation of ``protocol``.
        inner_steps: training steps that a synthetic update unrolls; 0: the form's own.
        supplement: size of the rounds after the first, as a share of the first in (0, 1]. They ask
            only for the classes in which the union is weak on the server's validation split, and
            what comes is added (`ddapps.federated.weakness`). 0: there are no such rounds.
    """

    form: str = "one-shot"
    method: str | dd.Method = ""
    ipc: int = 10
    bytes: str = ""
    preset: str = "cpu"
    steps: int = 0
    max_seconds: float = 0.0
    storage: str = "uint8"
    levels: int = 256
    network: str = "convnet(width=32)"
    protocol: str = "dc"
    epochs: int = 0
    updates: int = 0
    rounds: int = 1
    fraction: float = 1.0
    min_clients: int = 2
    clients: int = 0
    timeout: float = 3600.0
    seed: int = 0
    device: str = "auto"
    weighting: str = "uniform"
    weight_cap: float = 10.0
    screening: bool = False
    counts: str = "public"
    examples: int = 0
    epsilon: float = 0.0
    delta: float = 1e-5
    radius: float = 5.0
    local_updates: int = 0
    local_epochs: int = 5
    learning_rate: float = 0.03
    batch_size: int = 32
    momentum: float = 0.9
    proximal_mu: float = 0.01
    transport: str = "float32"
    augmented: bool = False
    inner_steps: int = 0
    supplement: float = 0.0

    def __post_init__(self) -> None:
        for kind, value, known in (
            ("preset", self.preset, dd.methods.PRESETS),
            ("counts", self.counts, COUNTS),
            ("weighting", self.weighting, WEIGHTINGS),
            ("transport", self.transport, TRANSPORTS),
        ):
            if value not in known:
                raise UnknownNameError(kind, value, known)
        require_counts(
            ipc=self.ipc,
            rounds=self.rounds,
            min_clients=self.min_clients,
            local_epochs=self.local_epochs,
            batch_size=self.batch_size,
        )
        require(0 < self.fraction <= 1, f"fraction is a share of the clients, in (0, 1], not {self.fraction}")
        require(2 <= self.levels <= 256, f"pixels in bytes have 2 to 256 levels, not {self.levels}")
        require(
            0 <= self.supplement <= 1, f"supplement is a share of the first round, in [0, 1], not {self.supplement}"
        )
        require(self.timeout > 0, f"timeout must be above 0 seconds, not {self.timeout}")
        require(self.weight_cap >= 1, f"weight_cap is a multiple of the median, from 1, not {self.weight_cap}")
        require(self.learning_rate > 0 and 0 <= self.momentum < 1, "learning_rate must be above 0, momentum in [0, 1)")
        for name in (
            "steps",
            "epochs",
            "updates",
            "local_updates",
            "max_seconds",
            "epsilon",
            "examples",
            "radius",
            "proximal_mu",
            "inner_steps",
            "clients",
        ):
            require(getattr(self, name) >= 0, f"{name} must not be negative, it is {getattr(self, name)}")

    @property
    @abstractmethod
    def one_answer(self) -> bool:
        """Whether a client sends one summary, whatever the round."""

    @property
    @abstractmethod
    def whole(self) -> bool:
        """Whether clients send all of their examples."""

    @property
    @abstractmethod
    def cites(self) -> tuple[str, ...]:
        """Keys of ``ddcore.citations`` for the form."""

    @property
    @abstractmethod
    def compression(self) -> Compression:
        """The method, before its size is known."""

    def limit(self, spec: dd.Spec) -> Limit:
        """Return what the summary of a client with such data may hold."""
        if self.bytes:
            return dd.Budget.parse(self.bytes).bytes
        items = EVERYTHING if self.whole else self.ipc
        return dict.fromkeys(spec.classes, items * self.compression.examples_per_item)

    def of_clients(self) -> dict[str, Any]:
        """Return what a client's answer depends on, as JSON data.

        The number of rounds is among it where they share a privacy budget.
        """
        described: dict[str, Any] = dd.describe(self)
        left_out = SERVER_ALONE if self.private and not self.one_answer else (*SERVER_ALONE, "rounds")
        return {name: value for name, value in described.items() if name not in left_out}

    @property
    def training(self) -> Protocol:
        """How the server trains on a union."""
        protocol = as_protocol(self.protocol)
        if self.updates:
            training = replace(protocol.training, updates={1: self.updates}, batch_size=BATCH)
            return replace(protocol, name=f"{protocol.name}[updates={self.updates}]", training=training)
        return protocol.with_epochs(self.epochs) if self.epochs else protocol

    @property
    def private(self) -> bool:
        """Whether clients distil privately."""
        return self.epsilon > 0
