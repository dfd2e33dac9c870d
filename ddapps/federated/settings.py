"""Settings of a federated run, as they stand in a Flower project's ``[tool.flwr.app.config.distillation]``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import ddcore as dd
from ddapps.federated.forms import FORMS
from ddapps.sizing import Compression, Limit
from ddcore.errors import UnknownNameError
from ddcore.evaluation import Protocol, as_protocol
from ddcore.settings import require, require_counts

PREFIX = "distillation."
COUNTS = ("public", "noised", "withheld")
WEIGHTINGS = ("uniform", "counts")
TRANSPORTS = ("float32", "uint8")
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
)
"""Settings that clients have no use for."""
EVERYTHING = 10**6
"""Examples per class, where all are sent."""


@dataclass(frozen=True)
class Settings:
    """What clients and server agree on before a run. Flower hands the same to all of them.

    Attributes:
        form: what is exchanged, a key of ``FORMS``: summaries once (``one-shot``, ``dosfl``, ``fedd3``), summaries matched around the global model
            (``feddm``, ``fedmk``), updates as synthetic batches (``fedsynth``, ``goetz-tewari``), or weights (``fedavg``, ``fedprox``).
        method: that clients distil with: a `ddcore.Method` (in code, given to clients and server alike); a name, or a matching and a factorization such as ``dm/multi-formation(factor=2)``; empty: the
            form's own.
        ipc: items per class and client at most (images, or what a factorization decodes to several); a class with fewer examples gives as many
            as it has, one with none gives nothing.
        bytes: what a client's summary may store, such as ``20kB``, in place of ``ipc``; empty: ``ipc`` says it.
        preset: ``paper`` or ``cpu``, of the method.
        steps: replaces the method's number of steps; 0: it is the method's.
        max_seconds: of a client's distillation; 0: no limit.
        storage: of what is sent: ``uint8``, ``fp16`` or ``float32``.
        levels: grey levels of pixels that are stored in bytes, 2 to 256: fewer compress better.
        network: of clients and server, by its name.
        protocol: how the server trains on the union.
        epochs: replaces the protocol's; 0: they are the protocol's.
        rounds: of the whole run.
        fraction: share of the connected clients that a round asks.
        min_clients: how many must be connected before a round starts, and how many it asks at least.
        clients: how many there are in all, where that is known: a run in which one answer is enough ends when all have given it, without waiting for
            connections that are dead; 0: it is not known.
        timeout: seconds that a round waits for replies.
        seed: of every random number that is not private noise.
        device: as in ``ddcore.distill``.
        weighting: whether an example weighs the same as all others of its class (``uniform``), or as many real examples as it stands for
            (``counts``), as its client says.
        weight_cap: the most that a client's own word may count: this many times the median of all.
        screening: whether a client's examples weigh less where they contradict the server's validation split.
        counts: whether class sizes are sent as they are (``public``), with noise that is paid for (``noised``), or not at all (``withheld``:
            then every client sends all classes). Other than ``public`` needs ``epsilon``.
        examples: public number of examples of a client; needed where counts are withheld.
        epsilon, delta: privacy of each client's examples over all rounds; epsilon 0: none.
        radius: of the ball around the global weights in which ``feddm`` and ``fedmk`` match.
        local_epochs, learning_rate, batch_size, momentum: of a client's training of the global model (updates and weights).
        proximal_mu: of ``fedprox``.
        transport: of weights: ``float32``, or ``uint8`` over the span of each array.
        inner_steps: training steps that a synthetic update unrolls; 0: the form's own.
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
    local_epochs: int = 5
    learning_rate: float = 0.03
    batch_size: int = 32
    momentum: float = 0.9
    proximal_mu: float = 0.01
    transport: str = "float32"
    inner_steps: int = 0

    def __post_init__(self) -> None:
        for kind, value, known in (
            ("form", self.form, FORMS),
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
        require(self.timeout > 0, f"timeout must be above 0 seconds, not {self.timeout}")
        require(self.weight_cap >= 1, f"weight_cap is a multiple of the median, from 1, not {self.weight_cap}")
        require(self.learning_rate > 0 and 0 <= self.momentum < 1, "learning_rate must be above 0, momentum in [0, 1)")
        for name in (
            "steps",
            "epochs",
            "max_seconds",
            "epsilon",
            "examples",
            "radius",
            "proximal_mu",
            "inner_steps",
            "clients",
        ):
            require(getattr(self, name) >= 0, f"{name} must not be negative, it is {getattr(self, name)}")

    def require_consistent(self) -> None:
        """Raise unless the settings go together: `SettingsError`, `UnsupportedError`."""
        require(
            self.counts == "public" or self.private,
            "class sizes are noised or withheld of private clients: set epsilon, or counts = 'public'",
        )
        require(
            self.counts != "withheld" or self.examples > 0,
            "where class sizes are withheld, a client's number of examples must be public: set examples",
        )
        require(
            self.counts != "withheld" or self.weighting == "uniform",
            "withheld class sizes cannot weigh: weighting = 'uniform'",
        )
        require(
            self.levels == 256 or self.storage == "uint8",
            f"fewer levels are of pixels in bytes: storage = 'uint8', or levels = 256, not {self.storage!r} with {self.levels}",
        )
        require(
            not (self.private and self.max_seconds),
            "where a private run stops by the clock, its steps would tell of its draws: max_seconds = 0 with epsilon",
        )
        FORMS[self.form].check(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Return the settings in a Flower run's configuration: its keys that start with ``distillation.``; others are the user's own.

        Raises:
            SettingsError: a key that is no setting, or a value of the wrong kind.
        """
        settings = {key.removeprefix(PREFIX): value for key, value in config.items() if key.startswith(PREFIX)}
        return _read(json.dumps(settings, sort_keys=True))

    def of_clients(self) -> dict[str, Any]:
        """Return the settings that a client's answer depends on, as JSON data; rounds are among them where a privacy budget is shared by several."""
        described: dict[str, Any] = dd.describe(self)
        left_out = SERVER_ALONE if self.private and not self.one_answer else (*SERVER_ALONE, "rounds")
        return {name: value for name, value in described.items() if name not in left_out}

    def to_config(self) -> dict[str, bool | float | int | str]:
        """Return the settings that differ from the defaults as a Flower run's configuration; a method that has no name of its own stays out."""
        changed = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        if isinstance(self.method, dd.Method):
            del changed["method"]
        return {PREFIX + name.replace("_", "-"): value for name, value in changed.items()}

    @property
    def chosen_method(self) -> str:
        """Name of the method that clients distil with."""
        return self.method.name if isinstance(self.method, dd.Method) else self.method or FORMS[self.form].method

    @property
    def cites(self) -> tuple[str, ...]:
        """Keys of ``ddcore.citations`` for the form."""
        return FORMS[self.form].cites

    @property
    def one_answer(self) -> bool:
        """Whether a client sends one summary, whatever the round."""
        return FORMS[self.form].stays

    @property
    def whole(self) -> bool:
        """Whether clients send all of their examples."""
        return FORMS[self.form].whole

    @property
    def compression(self) -> Compression:
        """The method, before its size is known."""
        return FORMS[self.form].compression(self)

    def limit(self, spec: dd.Spec) -> Limit:
        """Return what the summary of a client with such data may hold."""
        if self.bytes:
            return dd.Budget.parse(self.bytes).bytes
        items = EVERYTHING if self.whole else self.ipc
        return dict.fromkeys(spec.classes, items * self.compression.examples_per_item)

    @property
    def training(self) -> Protocol:
        """How the server trains on a union."""
        protocol = as_protocol(self.protocol)
        return protocol.with_epochs(self.epochs) if self.epochs else protocol

    @property
    def private(self) -> bool:
        """Whether clients distil privately."""
        return self.epsilon > 0


@lru_cache(maxsize=16)
def _read(text: str) -> Settings:
    """Return the settings in a JSON object: a client reads the same ones with every message."""
    settings = {key.replace("-", "_"): value for key, value in json.loads(text).items()}
    unknown = sorted(set(settings) - {field.name for field in fields(Settings)})
    if unknown:
        known = ", ".join(field.name.replace("_", "-") for field in fields(Settings))
        require(False, f"{PREFIX}{unknown[0].replace('_', '-')} is no setting: choose among {known}")
    found = Settings()
    for name, value in settings.items():
        found = dd.override(found, name, value)
    found.require_consistent()
    return found
