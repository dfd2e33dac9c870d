"""What a proxy is: a way to score candidates without full training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Any

from ddapps.nas.bench import Bench
from ddapps.nas.candidates import Evaluation, Outcomes
from ddapps.nas.combination import Combination
from ddapps.nas.free import DRAWN
from ddapps.nas.measurement import SCORES, Counted, Measurement
from ddapps.nas.search_space import Candidate
from ddapps.nas.trials import Plan, Trial
from ddcore.errors import InputDataError, UnknownNameError
from ddcore.evaluation import Protocol
from ddcore.parts import TargetData
from ddcore.summary import DataSummary


@dataclass(frozen=True)
class Scored:
    """What one score of a proxy gave.

    Attributes:
        scores: of the architectures, in their order.
        seconds: mean time of one architecture.
        pilot_seconds: of all that the pilot cost; NaN where a table's accuracies hide a part.
        combination: what was fitted; None: nothing was.
    """

    scores: list[float]
    seconds: float
    pilot_seconds: float = 0.0
    combination: Combination | None = None


class Proxy(ABC):
    """A way to score candidates without full training."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The proxy in words, as they are parsed."""

    def check(self, trial: Trial) -> None:
        """Raise an error if it cannot be made for a comparison; nothing is measured."""

    @abstractmethod
    def plans(self, trial: Trial) -> list[Plan]:
        """Return what is measured for each of its repetitions."""

    @abstractmethod
    def scored(self, plan: Plan, outcomes: Outcomes, candidates: Sequence[Candidate]) -> Scored:
        """Return the scores of candidates, none of which failed.

        Raises:
            InputDataError: they cannot be scored.
        """


@dataclass(frozen=True)
class FreeProxy(Proxy):
    """A score without any training.

    Attributes:
        kind: one of `FREE`.
    """

    kind: str

    @property
    def name(self) -> str:
        return self.kind

    def plans(self, trial: Trial) -> list[Plan]:
        seeds = trial.seeds if self.kind in DRAWN else trial.seeds[:1]
        return [Plan(counts=(trial.counted(self.kind, seed),)) for seed in seeds]

    def scored(self, plan: Plan, outcomes: Outcomes, candidates: Sequence[Candidate]) -> Scored:
        counted = [count_of(plan.counts[0], outcomes, candidate) for candidate in candidates]
        return Scored([each.value for each in counted], fmean(each.seconds for each in counted))


@dataclass(frozen=True)
class TrainedProxy(Proxy):
    """Data that every candidate is trained on.

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
        return bracketed(self.size_name, self.data_settings())

    @property
    def name(self) -> str:
        return bracketed(self.size_name, [*self.data_settings(), *differing(self, "score", "averaged")])

    @abstractmethod
    def data(self, bench: Bench, seed: int) -> DataSummary | TargetData:
        """Return what candidates are trained on."""

    def protocol(self, short: Protocol, full: Protocol) -> Protocol:
        """Return how candidates are trained on it: ``short``, or full training that ends early."""
        return short

    def training(self, trial: Trial, seed: int) -> Evaluation:
        """Return the evaluation by a training on the data of a seed."""
        data, protocol = self.data(trial.bench, seed), self.protocol(trial.protocol, trial.full)
        return trial.trained(data, self.data_name, protocol, seed, self.score)

    def plans(self, trial: Trial) -> list[Plan]:
        trainings = [self.training(trial, seed) for seed in trial.seeds]
        return [Plan(tuple(trainings))] if self.averaged else [Plan((each,)) for each in trainings]

    def scored(self, plan: Plan, outcomes: Outcomes, candidates: Sequence[Candidate]) -> Scored:
        measured = [trained_of(plan, outcomes, candidate) for candidate in candidates]
        scores = [fmean(each.score(self.score) for each in runs) for runs in measured]
        return Scored(scores, fmean(sum(each.seconds for each in runs) for runs in measured))


def trained_of(plan: Plan, outcomes: Outcomes, candidate: Candidate) -> list[Measurement]:
    """Return what a plan's trainings told of a candidate that did not fail."""
    measured = [outcomes[evaluation.name][candidate].measured for evaluation in plan.trainings]
    return [each for each in measured if isinstance(each, Measurement)]


def count_of(evaluation: Evaluation, outcomes: Outcomes, candidate: Candidate) -> Counted:
    """Return what was counted of a candidate, or raise `InputDataError` where that failed."""
    outcome = outcomes[evaluation.name][candidate]
    if not isinstance(outcome.measured, Counted):
        raise InputDataError(f"{evaluation.name} of {candidate.label} cannot be counted: {outcome.failure}")
    return outcome.measured


def differing(settings: Any, *names: str) -> list[str]:
    """Return these settings in words, where they differ from their default."""
    defaults = {field.name: field.default for field in fields(settings)}
    return [f"{name}={getattr(settings, name)}" for name in names if getattr(settings, name) != defaults[name]]


def bracketed(name: str, settings: Sequence[str]) -> str:
    """Return a name with its settings."""
    return f"{name}({','.join(settings)})" if settings else name
