"""Data that candidates are trained on instead of the full data, by name.

Such names are ``dm:10``, ``random:10(averaged=True)``, ``early-stop:0.5``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import torch

from ddapps.nas.bench import Bench
from ddapps.nas.proxy import TrainedProxy, differing
from ddapps.nas.trials import Trial
from ddcore.errors import SettingsError, UnknownNameError, UnsupportedError
from ddcore.evaluation import Protocol
from ddcore.ground import Optimiser, generator
from ddcore.methods import METHODS, build_method
from ddcore.parts import Method, NoNetworks, OneOf, TargetData
from ddcore.settings import require, require_counts, settings_from_text
from ddcore.sources import ExpertSegments
from ddcore.summary import DataSummary

EARLY_STOPPING = "early-stop"
POOLED = Optimiser("adam", learning_rate=0.02)
"""Of distillation on a pool: these steps do not depend on the number and scale of features."""


@dataclass(frozen=True)
class SummaryProxy(TrainedProxy):
    """A summary by a method.

    Attributes:
        method: its name, a selection rule included.
        ipc: examples per class.
        pool: how many architectures of the space it is distilled on, one drawn whenever a network
            is; 0: on ``network`` alone.
        network: what it is distilled on without a pool; empty: what the bench says.
        steps: of distillation; 0: what the bench says.
        epochs: of training on it; 0: what the comparison says.
    """

    method: str = "random"
    ipc: int = 10
    pool: int = 0
    network: str = ""
    steps: int = 0
    epochs: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in METHODS:
            raise UnknownNameError("proxy", self.method, (*METHODS, EARLY_STOPPING))
        require_counts(ipc=self.ipc)
        require(min(self.pool, self.steps, self.epochs) >= 0, "pool, steps and epochs must not be negative")

    @property
    def size_name(self) -> str:
        return f"{self.method}:{self.ipc}"

    def data_settings(self) -> list[str]:
        return differing(self, "pool", "network", "steps", "epochs")

    def protocol(self, short: Protocol, full: Protocol) -> Protocol:
        return short.with_epochs(self.epochs) if self.epochs else short

    def check(self, trial: Trial) -> None:
        method = self.method_for(trial.bench, trial.seeds[0])
        method.factorization.counts_for(trial.bench.target.counts())
        if isinstance(getattr(method.networks, "architecture", None), OneOf) and isinstance(
            method.networks, ExpertSegments
        ):
            raise UnsupportedError(f"experts share one architecture: {self.name} cannot take a pool")

    def method_for(self, bench: Bench, seed: int) -> Method:
        """Return the method, on the networks that it is to be distilled on."""
        method = build_method(self.method, ipc=self.ipc, preset="cpu", target=bench.target)
        if method.matching is None:
            if self.pool or self.network or self.steps:
                raise SettingsError(
                    f"{self.method} selects examples without networks of the space: leave out pool, network and steps"
                )
            return method
        if self.pool:
            pooled = method.on_networks(bench.space.pool(self.pool, seed))
            return replace(pooled, optimiser=POOLED, preset="custom").with_steps(self.steps or bench.steps)
        if not isinstance(method.networks, NoNetworks):
            method = method.on_networks(self.network or bench.network)
        return method.with_steps(self.steps or bench.steps)

    def data(self, bench: Bench, seed: int) -> DataSummary:
        made = replace(self, epochs=0)  # however long it is trained on
        return bench.summary(f"{made.data_name} seed {seed}", self.method_for(bench, seed), seed)


@dataclass(frozen=True)
class EarlyStopping(TrainedProxy):
    """Training on the full data for few epochs; below one: on a random share of every class.

    Attributes:
        epochs: passes over the training split.
    """

    epochs: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = self.epochs == int(self.epochs)
        require(
            self.epochs > 0 and (whole or self.epochs < 1),
            f"epochs must be whole, or a share below 1, not {self.epochs:g}",
        )

    @property
    def size_name(self) -> str:
        return f"{EARLY_STOPPING}:{self.epochs:g}"

    def data(self, bench: Bench, seed: int) -> TargetData:
        if self.epochs >= 1:
            return bench.target
        kept = []
        for class_id, count in bench.target.counts().items():
            members = (bench.target.train.targets == class_id).nonzero().flatten()
            drawn = torch.randperm(count, generator=generator(seed, "early-stop", class_id))
            kept.append(members[drawn[: max(1, round(self.epochs * count))]])
        return bench.target.with_train(torch.cat(kept).sort().values, f"{self.epochs:g} of {bench.target.name}")

    def protocol(self, short: Protocol, full: Protocol) -> Protocol:
        # What is stopped early has not come to the drop of its learning rate.
        training = replace(full.training, epochs=max(1, int(self.epochs)), drop_at=1.0)
        return Protocol(f"{full.name}, stopped early", training)


def parse_trained(text: str) -> TrainedProxy:
    """Return the proxy of ``method:ipc`` or ``early-stop:epochs``, with settings in brackets.

    Raises:
        SettingsError: it is of another form.
    """
    match = re.fullmatch(r"\s*([\w-]+)\s*:\s*(\d+|\d*\.\d+)\s*(\(.*\))?\s*", text)
    if match is None:
        raise SettingsError(f"{text!r} is not of the form method:ipc or {EARLY_STOPPING}:epochs, such as dm:10")
    name, size, settings = match.groups()
    if name == EARLY_STOPPING:
        plain: TrainedProxy = EarlyStopping(epochs=float(size))
    else:
        require("." not in size, f"examples per class must be a whole number, not {size}")
        plain = SummaryProxy(method=name, ipc=int(size))
    return settings_from_text(f"{name}{settings or ''}", {name: plain}, "proxy")
