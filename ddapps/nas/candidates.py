"""Many candidates by one evaluator: through Ray where it is installed, else in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from typing import Any

import torch

from ddapps.kept_results import KeptResults
from ddapps.nas.evaluator import ProxyEvaluator
from ddapps.nas.free import FreeEvaluator
from ddapps.nas.measurement import Counted, Measurement
from ddapps.nas.search_space import Candidate
from ddcore.errors import CandidateError
from ddcore.ground import Tally, Workers, one_thread, resolve_device
from ddcore.settings import require

Progress = Callable[[str], None]
Evaluator = ProxyEvaluator | FreeEvaluator


@dataclass(frozen=True)
class Outcome:
    """What became of one candidate.

    Attributes:
        measured: what its training told, or what was counted; None if it failed.
        failure: why it failed.
        lasting: whether it would be the same another time. A process that died may have been the
            machine's fault, and is not kept.
    """

    measured: Measurement | Counted | None
    failure: str = ""
    lasting: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON data."""
        return {"measured": None if self.measured is None else self.measured.to_json(), "failure": self.failure}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any], kind: type[Measurement] | type[Counted]) -> Outcome:
        """Return what `to_json` wrote of a kind of measurement."""
        measured = kept["measured"]
        return cls(None if measured is None else kind.from_json(measured), str(kept["failure"]))


@dataclass(frozen=True)
class Evaluation:
    """One way to measure every candidate.

    Attributes:
        name: tells its kept results from others.
        evaluator: of trainings, with a single proxy; or of a free score.
    """

    name: str
    evaluator: Evaluator

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the results depend on besides the candidate, as JSON data."""
        return self.evaluator.facts()


def crew(count: int, device: str) -> Workers:
    """Return the processes that measure candidates.

    Args:
        count: of processes. 1: this one. 0: one per core where Ray is installed and the device is a
            processor, this one otherwise.
        device: where candidates are trained.
    """
    require(count >= 0, f"workers must not be negative, it is {count}")
    if count == 0 and resolve_device(device).type == "cpu" and find_spec("ray") is not None:
        count = os.cpu_count() or 1
    return Workers(count if count > 1 else 0)


Outcomes = Mapping[str, Mapping[Candidate, Outcome]]
"""What became of candidates, by the name of the evaluation."""


def measure(
    asked: Sequence[tuple[Evaluation, Sequence[Candidate]]],
    kept: KeptResults,
    workers: Workers,
    device: str,
    progress: Progress | None = None,
) -> Outcomes:
    """Return the outcomes of candidates by the name of the evaluation.

    What was kept before is not measured again, and what is asked for twice is measured once.

    Args:
        asked: an evaluation, and the candidates that it measures. Evaluations of one name are one.
        kept: where results are found and written.
        workers: processes that measure.
        device: where candidates are trained.
        progress: called with lines of text as they are done: how many of how many, and what time
            is left (`ddcore.ground.Tally`).
    """
    evaluations = {evaluation.name: evaluation for evaluation, _ in asked}
    jobs = list(dict.fromkeys((evaluation.name, candidate) for evaluation, each in asked for candidate in each))
    found: dict[tuple[str, Candidate], Mapping[str, Any]] = {}
    missing = []
    for job in jobs:
        known = kept.find(*_key(evaluations, job))
        if known is None:
            missing.append(job)
        else:
            found[job] = known
    calls = {name: partial(outcome_of, evaluation.evaluator) for name, evaluation in evaluations.items()}
    work = [(calls[name], (candidate,)) for name, candidate in missing]
    measured = workers.calls(work, torch.device(device), died=lambda reason: Outcome(None, reason, lasting=False))
    tally = Tally(progress, len(missing), "measurements")
    for number, outcome in measured:
        job = missing[number]
        found[job] = outcome.to_json()
        if outcome.lasting:
            kept.keep(*_key(evaluations, job), outcome.to_json())
        tally.done(f"{job[0]}, {job[1].label}: {outcome.failure or outcome.measured}")
    outcomes: dict[str, dict[Candidate, Outcome]] = {name: {} for name in evaluations}
    for name, candidate in jobs:
        kind = evaluations[name].evaluator.MEASURES
        outcomes[name][candidate] = Outcome.from_json(found[name, candidate], kind)
    return outcomes


def outcome_of(evaluator: Evaluator, candidate: Candidate) -> Outcome:
    """Return what becomes of a candidate, on one thread; a failure is an outcome."""
    with one_thread():
        try:
            return Outcome(evaluator.once(candidate))
        except CandidateError as error:
            return Outcome(None, str(error))


def _key(evaluations: Mapping[str, Evaluation], job: tuple[str, Candidate]) -> tuple[str, dict[str, Any]]:
    evaluation, candidate = evaluations[job[0]], job[1]
    return f"{evaluation.name} {candidate.label}", {**evaluation.facts, "candidate": candidate.describe()}
