"""What stands for the full data while architectures are ranked, by name.

Such names are ``dm:10``, ``random:10(averaged=True)``, ``early-stop:0.5``.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from ddapps.kept_results import KeptResults, stem
from ddapps.nas.evaluator import SCORES
from ddapps.nas.search_space import SearchSpace
from ddcore.errors import CheckpointError, SettingsError, UnknownNameError, UnsupportedError
from ddcore.evaluation import Protocol
from ddcore.ground import Optimiser, generator, resolve_device
from ddcore.methods import METHODS, build_method
from ddcore.parts import Method, NoNetworks, OneOf, TargetData
from ddcore.settings import require, require_counts, settings_from_text, split_names
from ddcore.sources import ExpertSegments
from ddcore.summary import DataSummary

EARLY_STOPPING = "early-stop"
POOLED = Optimiser("adam", learning_rate=0.02)
"""Of distillation on a pool: these steps do not depend on the number and scale of features."""


@dataclass(frozen=True)
class Proxy(ABC):
    """A way to score candidates without full training.

    Attributes:
        score: one of ``SCORES``: ``accuracy``, ``loss``, ``area``, ``training-loss``.
        averaged: whether the score is the mean over all seeds, instead of one that every seed gives
            anew.
    """

    score: str = "accuracy"
    averaged: bool = False

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise UnknownNameError("score", self.score, SCORES)

    @property
    @abstractmethod
    def size_name(self) -> str:
        """Name and size, such as ``dm:10``."""

    def data_settings(self) -> list[str]:
        """Return the settings of what is trained on that differ from the default, in words."""
        return []

    @property
    def data_name(self) -> str:
        """Name of what is trained on: proxies that differ in their score alone share it."""
        return _bracketed(self.size_name, self.data_settings())

    @property
    def name(self) -> str:
        """The proxy in words, as they are parsed."""
        return _bracketed(self.size_name, [*self.data_settings(), *_differing(self, "score", "averaged")])

    def check(self, bench: Bench, seed: int) -> None:
        """Raise an error if it cannot be made for what `Bench` holds."""

    @abstractmethod
    def data(self, bench: Bench, seed: int) -> DataSummary | TargetData:
        """Return what candidates are trained on."""

    def protocol(self, short: Protocol, full: Protocol) -> Protocol:
        """Return how candidates are trained on it: ``short``, or full training that ends early."""
        return short


@dataclass(frozen=True)
class SummaryProxy(Proxy):
    """A summary by a method.

    Attributes:
        method: its name, a selection rule included.
        ipc: examples per class.
        pool: how many architectures of the space it is distilled on, one drawn whenever a network
            is; 0: on ``network`` alone.
        network: what it is distilled on without a pool; empty: what the bench says.
        steps: of distillation; 0: what the bench says.
    """

    method: str = "random"
    ipc: int = 10
    pool: int = 0
    network: str = ""
    steps: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in METHODS:
            raise UnknownNameError("proxy", self.method, (*METHODS, EARLY_STOPPING))
        require_counts(ipc=self.ipc)
        require(self.pool >= 0 and self.steps >= 0, "pool and steps must not be negative")

    @property
    def size_name(self) -> str:
        return f"{self.method}:{self.ipc}"

    def data_settings(self) -> list[str]:
        return _differing(self, "pool", "network", "steps")

    def check(self, bench: Bench, seed: int) -> None:
        method = self.method_for(bench, seed)
        method.factorization.counts_for(bench.target.counts())
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
        return bench.summary(f"{self.data_name} seed {seed}", self.method_for(bench, seed), seed)


@dataclass(frozen=True)
class EarlyStopping(Proxy):
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


@dataclass(frozen=True)
class Bench:
    """What proxies of one comparison share.

    Attributes:
        target: the data, with a validation split.
        space: of the candidates.
        network: what summaries are distilled on.
        steps: of distillation; None: those of the method's preset ``cpu``.
        directory: where summaries are kept.
        device: of distillation and training.
        progress: called with a line of text before every distillation.
    """

    target: TargetData
    space: SearchSpace
    network: str
    steps: int | None
    directory: Path
    device: str = "auto"
    progress: Callable[[str], None] | None = None

    def summary(self, name: str, method: Method, seed: int) -> DataSummary:
        """Return the summary by a method, from before where it is known."""
        place = self.directory / "summaries" / stem(name)
        facts = {
            "data": self.target.fingerprint(),
            "method": method.at_precision(None, resolve_device(self.device)).describe(),
            "seed": seed,
            "device": self.device,
            "version": dd.__version__,
        }
        made: list[DataSummary] = []

        def make() -> dict[str, Any]:
            if self.progress is not None and method.steps:
                self.progress(f"{name}: {method.steps} steps of {method.name}")
            started = time.monotonic()
            made.append(dd.distill(self.target, method, seed=seed, device=self.device))
            made[0].save(place, overwrite=True)
            return {"sha256": made[0].sha256(), "seconds": time.monotonic() - started}

        known = KeptResults(self.directory).get(f"summary {name}", facts, make)
        summary = made[0] if made else DataSummary.load(place)
        if summary.sha256() != known["sha256"]:
            raise CheckpointError(f"{place} is not the summary that was kept there: delete {self.directory}")
        return summary


def _differing(settings: Proxy, *names: str) -> list[str]:
    """Return these settings in words, where they differ from their default."""
    defaults = {field.name: field.default for field in fields(settings)}
    return [f"{name}={getattr(settings, name)}" for name in names if getattr(settings, name) != defaults[name]]


def _bracketed(name: str, settings: Sequence[str]) -> str:
    return f"{name}({','.join(settings)})" if settings else name


def parse_proxies(text: str) -> list[Proxy]:
    """Return the proxies of a comma-separated list.

    Such as ``dm:10,dm:10(pool=20,averaged=True),early-stop:1``.

    Raises:
        SettingsError: an entry has no size, or the list is empty, or names a proxy twice.
    """
    proxies = [parse_proxy(entry) for entry in split_names(text)]
    if not proxies:
        raise SettingsError("name at least one proxy, such as dm:10")
    return checked(proxies)


def checked(proxies: Sequence[Proxy]) -> list[Proxy]:
    """Return the proxies, or raise `SettingsError` where two have one name."""
    names = [proxy.name for proxy in proxies]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(f"{twice[0]} is named twice")
    return list(proxies)


def parse_proxy(text: str) -> Proxy:
    """Return the proxy of ``method:ipc`` or ``early-stop:epochs``, with settings in brackets."""
    match = re.fullmatch(r"\s*([\w-]+)\s*:\s*(\d+|\d*\.\d+)\s*(\(.*\))?\s*", text)
    if match is None:
        raise SettingsError(f"{text!r} is not of the form method:ipc or {EARLY_STOPPING}:epochs, such as dm:10")
    name, size, settings = match.groups()
    if name == EARLY_STOPPING:
        plain: Proxy = EarlyStopping(epochs=float(size))
    else:
        require("." not in size, f"examples per class must be a whole number, not {size}")
        plain = SummaryProxy(method=name, ipc=int(size))
    return settings_from_text(f"{name}{settings or ''}", {name: plain}, "proxy")
