"""``ProxyEvaluator``: what an architecture is worth, by a training that costs seconds."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ddapps.nas.combination import Combination
from ddapps.nas.failures import failures_of_a_candidate
from ddapps.nas.free import FREE, FreeEvaluator
from ddapps.nas.measurement import SCORES, Measurement
from ddcore import __version__
from ddcore.errors import CandidateError, SettingsError, UnknownNameError
from ddcore.evaluation import (
    Protocol,
    TrainingSource,
    as_protocol,
    check_compatible,
    held_out_split,
    predict,
    train_one,
)
from ddcore.ground import lots, precision_facts, resolve_device
from ddcore.parts import LOSSES, Batch, Network, TargetData, accuracy, as_architecture
from ddcore.settings import describe, require_counts
from ddcore.summary import DataSummary
from ddcore.training import Training, Watch

PROXY = Protocol("proxy", Training(epochs=30, batch_size=20))
"""How a candidate is trained on a proxy: 150 updates on 100 examples."""

CHECKPOINTS = 4
COMBINED = "combined"
"""Name of the score that a `Combination` gives."""


@dataclass(frozen=True)
class ProxyEvaluator:
    """Scores architectures: each is trained on a proxy, and tested on held-out real examples.

    Training is from scratch. It is a function of an architecture. Inside an NNI experiment or trial
    it is used as ``reporting(evaluator)`` (`ddapps.nas.reporting`).

    Attributes:
        proxy: a summary, or the data itself (its training split is then trained on); or several,
            whose scores are averaged.
        target: whose held-out split is tested on.
        protocol: how candidates are trained: a `Protocol` or its name.
        score: ``accuracy``, ``loss``, ``area`` (under the learning curve), ``training-loss``; or
            ``combined`` where there is a combination.
        split: ``validation``, or ``test`` for a reference that nothing is chosen by.
        runs: trainings per proxy, each with weights and order of its own, averaged.
        seed: of weights and order. The same architecture starts from the same weights on every
            proxy.
        device: ``auto``, ``cpu``, ``cuda``, ...
        also_test: whether a measurement tells the accuracy on the test split, too.
        combination: of several scores, free ones among them; it is the score ``combined``.
    """

    proxy: DataSummary | TargetData | Sequence[DataSummary | TargetData]
    target: TargetData
    protocol: Protocol | str = PROXY
    score: str = "accuracy"
    split: str = "validation"
    runs: int = 1
    seed: int = 0
    device: str = "auto"
    also_test: bool = False
    combination: Combination | None = None
    MEASURES: ClassVar[type[Measurement]] = Measurement
    proxies: tuple[DataSummary | TargetData, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_score(self.score, self.combination)
        require_counts(runs=self.runs)
        proxies = tuple(self.proxy) if isinstance(self.proxy, list | tuple) else (self.proxy,)
        if not proxies:
            raise SettingsError("proxy is empty: give at least one summary")
        object.__setattr__(self, "proxies", proxies)
        as_protocol(self.protocol)
        resolve_device(self.device)
        held_out_split(self.target, self.split)
        if self.also_test:
            held_out_split(self.target, "test")
        for proxy in proxies:
            if not isinstance(proxy, DataSummary | TargetData):
                raise SettingsError(f"a proxy is a DataSummary or a TargetData, not a {type(proxy).__name__}")
            check_compatible(proxy, self.target, self.split)

    def __call__(self, network: object) -> float:
        """Return the score of an architecture; higher is better.

        It comes in any form that ``ddcore.networks.as_architecture`` takes.

        Raises:
            CandidateError: it crashed, or its numbers are not finite.
        """
        measured = self.measure(network)
        if self.combination is None:
            return fmean(each.score(self.score) for each in measured)
        needed = [kind for kind in FREE if kind in self.combination.features]
        free = {kind: FreeEvaluator(kind, self.target, self.seed, self.device)(network) for kind in needed}
        return self.combination.score(features_of(measured, free))

    def measure(self, network: object) -> list[Measurement]:
        """Return what each training of an architecture told, proxy by proxy.

        Raises:
            CandidateError: it crashed, or its numbers are not finite.
        """
        return [self.measure_one(network, proxy, run) for proxy in self.proxies for run in range(self.runs)]

    def facts(self) -> dict[str, Any]:
        """Return what scores depend on besides the candidate, as JSON data to keep them under."""
        tested = {"tested_on": self.hash_of("test")} if self.also_test else {}
        return {
            **tested,
            "data": self.target.fingerprint(),
            "held_out": self.hash_of(self.split),
            "proxies": [p.sha256() if isinstance(p, DataSummary) else p.fingerprint() for p in self.proxies],
            "protocol": describe(as_protocol(self.protocol)),
            "score": self.score,
            "split": self.split,
            "runs": self.runs,
            "seed": self.seed,
            "device": str(resolve_device(self.device)),
            **precision_facts(resolve_device(self.device)),
            "version": __version__,
            **({} if self.combination is None else {"combination": self.combination.to_json()}),
        }

    def once(self, network: object) -> Measurement:
        """Return what one training on the first proxy told.

        Raises:
            CandidateError: it crashed, or its numbers are not finite.
        """
        return self.measure_one(network, self.proxies[0])

    def measure_one(self, network: object, proxy: DataSummary | TargetData, run: int = 0) -> Measurement:
        """Return what one training told.

        Raises:
            CandidateError: it crashed, or its numbers are not finite.
        """
        observed, started = _Observed(self), time.monotonic()
        trained = self.train(network, proxy, run, observed)
        accuracy, loss = self.test(trained)
        seconds = time.monotonic() - started
        if not math.isfinite(loss + observed.training_loss):
            raise CandidateError(
                f"diverged: the loss on held-out examples is {loss}, that of training {observed.training_loss}"
            )
        area = fmean([*observed.accuracies, accuracy]) if self.score == "area" else math.nan
        test = self.test(trained, "test")[0] if self.also_test else math.nan
        return Measurement(accuracy, loss, observed.training_loss / observed.updates, area, seconds, test)

    def train(
        self, network: object, proxy: DataSummary | TargetData, run: int = 0, observed: _Observed | None = None
    ) -> Network:
        """Return a network of an architecture, trained on a proxy.

        Raises:
            CandidateError: it crashed.
        """
        protocol, spec = as_protocol(self.protocol), self.target.spec
        augmentation = protocol.training.augmentation.suited_to(proxy.spec).suited_to(spec)
        training = replace(protocol.training, augmentation=augmentation)
        source = TrainingSource.of(proxy, resolve_device(self.device), torch.float32)
        watch = None if observed is None else observed.of(source, training)
        with failures_of_a_candidate():
            return train_one(as_architecture(network), source, training, spec, seed=self.seed, run=run, watch=watch)

    def test(self, network: Network, split: str = "") -> tuple[float, float]:
        """Return a network's accuracy in percent and its mean cross-entropy on a held-out split.

        The split is the evaluator's own by default.

        Raises:
            CandidateError: it crashed.
        """
        held_out = held_out_split(self.target, split or self.split)
        with failures_of_a_candidate():
            logits = predict(network, held_out, self.target.spec, resolve_device(self.device)).double()
        return accuracy(logits, held_out.targets), float(F.cross_entropy(logits, held_out.targets))

    def hash_of(self, split: str) -> str:
        """Return the hash of a held-out split."""
        held_out = held_out_split(self.target, split)
        digest = hashlib.sha256()
        for part in lots(held_out.inputs):
            digest.update(part.contiguous().numpy().tobytes())
        digest.update(held_out.targets.numpy().tobytes())
        return digest.hexdigest()


def features_of(measured: Sequence[Measurement], free: Mapping[str, float]) -> dict[str, float]:
    """Return what a combination may be made of: means over trainings, and the free scores."""
    told = {kind: fmean(each.score(kind) for each in measured) for kind in SCORES} if measured else {}
    return {**told, **free}


def require_score(score: str, combination: Combination | None) -> None:
    """Raise `UnknownNameError` unless candidates can be ranked by a score."""
    known = SCORES if combination is None else (COMBINED,)
    if score not in known:
        raise UnknownNameError("score", score, known)


class _Observed:
    """What is seen of one training while it goes on."""

    def __init__(self, evaluator: ProxyEvaluator) -> None:
        self.updates, self.training_loss, self.accuracies = 0, 0.0, list[float]()
        self._evaluator = evaluator

    def of(self, source: TrainingSource, training: Training) -> Callable[[Network], Watch]:
        """Return what `train_one` calls with the new network."""
        loss, steps = LOSSES[source.recipe.loss], source.recipe.steps
        total = training.epochs * math.ceil(source.size / training.batch_size) if steps is None else len(steps.rates)
        quarters = {total * quarter // CHECKPOINTS for quarter in range(1, CHECKPOINTS)}
        checkpoints = quarters if self._evaluator.score == "area" else set()

        def start(network: Network) -> Watch:
            def after_update(indices: Tensor, batch: Batch, logits: Tensor) -> None:
                self.updates += 1
                self.training_loss += float(loss(logits, batch.targets).mean())
                if self.updates in checkpoints:
                    self.accuracies.append(self._evaluator.test(network)[0])
                    network.train()

            return after_update

        return start
