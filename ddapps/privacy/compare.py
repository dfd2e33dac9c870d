"""``compare``: private methods and baselines on one dataset, at one budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

import ddcore as dd
from ddapps.privacy.baselines import PrivateTraining, dp_sgd, mean_features, noise
from ddapps.privacy.certificate import Certificate
from ddapps.privacy.home import NO_LEDGER
from ddapps.privacy.privatize import privatize
from ddapps.privacy.subspace import public_subspace
from ddcore.errors import SettingsError, UnknownNameError
from ddcore.evaluation import Measured, Protocol, as_protocol, held_out_split, predict
from ddcore.ground import Tally, shown
from ddcore.methods import METHODS, build_method
from ddcore.settings import require_counts

BASELINES = ("public_subspace", "mean_features", "dp_sgd", "noise")


@dataclass(frozen=True)
class Row:
    """One method: accuracies in percent of independent runs, each distilled and trained anew."""

    name: str
    epsilon: float
    stored_bytes: int | None
    accuracies: tuple[float, ...]
    seconds: float

    @property
    def measured(self) -> Measured:
        """The accuracies, with their statistics."""
        return Measured(self.accuracies)

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``results``."""
        return {
            "name": self.name,
            "epsilon": round(self.epsilon, 6),
            "stored_bytes": self.stored_bytes,
            **self.measured.to_json(),
            "accuracies": [round(a, 3) for a in self.accuracies],
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Comparison:
    """What `compare` found."""

    data: str
    epsilon: float
    delta: float
    ipc: int
    protocol: str
    network: str
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``ddapps privacy compare --json`` writes."""
        facts = {name: getattr(self, name) for name in ("data", "epsilon", "delta", "ipc", "protocol", "network")}
        return {**facts, "results": [row.to_json() for row in self.rows]}

    def __str__(self) -> str:
        head = f"{self.data}, epsilon {self.epsilon:g} at delta {self.delta:g}, {self.ipc} per class, protocol {self.protocol}"
        head += "\nheld-out data are taken for public: nothing was charged for these accuracies"
        lines = [head, f"{'method':<16} {'epsilon':>8} {'accuracy %':>10} {'ci95':>6} {'runs':>5} {'seconds':>8}"]
        for row in self.rows:
            lines.append(
                f"{row.name:<16} {row.epsilon:>8.3f} {row.measured.mean:>10.2f} {shown(row.measured.ci95):>6} {len(row.accuracies):>5} {row.seconds:>8.1f}"
            )
        return "\n".join(lines)


def compare(
    target: dd.TargetData,
    methods: Sequence[str],
    *,
    epsilon: float,
    delta: float,
    ipc: int = 10,
    runs: int = 5,
    protocol: str | Protocol = "dc",
    network: str = "convnet",
    split: str = "test",
    seed: int = 0,
    device: str | torch.device = "auto",
    training: PrivateTraining | None = None,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Run private methods and baselines, ``runs`` times each, and test one network per run.

    Runs are independent. Every run has the whole budget: publishing several would add up.
    Accuracies are of the held-out split, which is taken for public: nothing is charged for them.
    It is a tool for public data, and keeps no ledger.

    Args:
        target: the private data with public normalisation and classes, and a held-out split.
        methods: names: private methods (preset ``cpu``); ``mean_features``, ``noise``; ``dp_sgd``,
            which trains the network itself.
        epsilon: of every run.
        delta: of every run.
        ipc: examples per class.
        runs: per method.
        protocol: of the evaluation.
        network: of the evaluation, and what ``dp_sgd`` trains.
        split: ``test``, or ``validation`` for choosing settings.
        seed: of public random numbers.
        device: as in ``ddcore.distill``.
        training: settings of ``dp_sgd``.
        progress: called with lines of text as runs are done: how many of how many, and what time is
            left (`ddcore.ground.Tally`).
    """
    require_counts(runs=runs, ipc=ipc)
    if not methods:
        raise SettingsError("methods is empty: name at least one")
    unknown = [name for name in methods if name not in (*METHODS, *BASELINES)]
    if unknown:
        raise UnknownNameError("method", unknown[0], (*METHODS, *BASELINES))
    held_out_split(target, split)
    protocol = as_protocol(protocol)
    rows, tally = [], Tally(progress, runs * len(methods), "runs")
    for name in methods:
        started, accuracies, spent, stored = time.monotonic(), [], 0.0, None
        for run in range(seed, seed + runs):
            if name == "dp_sgd":
                trained, certificate = dp_sgd(
                    target,
                    epsilon=epsilon,
                    delta=delta,
                    network=network,
                    training=training,
                    ledger=NO_LEDGER,
                    seed=run,
                    device=device,
                )
                spent = certificate.epsilon
                accuracies.append(accuracy(trained, target, split))
                tally.done(f"{name}, run {run - seed + 1}, accuracy {accuracies[-1]:.2f}")
                continue
            summary = _distilled(name, target, epsilon, delta, ipc, run, device)
            stored = summary.stored_bytes
            spent = 0.0 if name == "noise" else Certificate.of(summary).epsilon
            report = dd.evaluate(
                summary, target, networks=network, protocol=protocol, runs=1, seed=run, split=split, device=device
            )
            accuracies.extend(report.results[0].accuracies)
            tally.done(f"{name}, run {run - seed + 1}, accuracy {accuracies[-1]:.2f}")
        rows.append(Row(name, spent, stored, tuple(accuracies), time.monotonic() - started))
    return Comparison(target.name, epsilon, delta, ipc, protocol.name, network, tuple(rows))


def _distilled(
    name: str, target: dd.TargetData, epsilon: float, delta: float, ipc: int, seed: int, device: str | torch.device
) -> dd.DataSummary:
    if name == "noise":
        return dd.distill(target, noise(ipc), seed=seed, device=device)
    if name in ("mean_features", "public_subspace"):
        whole = mean_features if name == "mean_features" else public_subspace
        private = whole(target, epsilon=epsilon, delta=delta, ipc=ipc, seed=seed)
    else:
        method = build_method(name, ipc=ipc, preset="cpu", data=target.name)
        private = privatize(method, epsilon=epsilon, delta=delta)
    return private.distill(target, seed=seed, device=device, ledger=NO_LEDGER)


def accuracy(network: dd.networks.Network, target: dd.TargetData, split: str = "test") -> float:
    """Return a network's accuracy on a held-out split, in percent."""
    held_out = held_out_split(target, split)
    logits = predict(network, held_out, target.spec, next(network.parameters()).device)
    return dd.parts.accuracy(logits, held_out.targets)
