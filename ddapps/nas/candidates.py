"""Many candidates by one evaluator: through Ray where it is installed, else in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from itertools import product
from typing import Any

import torch

from ddapps.kept_results import KeptResults
from ddapps.nas.evaluator import Measurement, ProxyEvaluator
from ddapps.nas.search_space import Candidate
from ddcore.errors import CandidateError
from ddcore.ground import Tally, Workers, one_thread, resolve_device
from ddcore.settings import require

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one candidate.

    Attributes:
        measured: what its training told; None if it failed.
        failure: why it failed.
        lasting: whether it would be the same another time. A process that died may have been the
            machine's fault, and is not kept.
    """

    measured: Measurement | None
    failure: str = ""
    lasting: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON data."""
        return {"measured": None if self.measured is None else self.measured.to_json(), "failure": self.failure}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Outcome:
        """Return what `to_json` wrote."""
        measured = kept["measured"]
        return cls(None if measured is None else Measurement.from_json(measured), str(kept["failure"]))


@dataclass(frozen=True)
class Evaluation:
    """One way to measure every candidate.

    Attributes:
        name: tells its kept results from others.
        evaluator: with a single proxy.
    """

    name: str
    evaluator: ProxyEvaluator

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


def measure(
    evaluations: Sequence[Evaluation],
    candidates: Sequence[Candidate],
    kept: KeptResults,
    workers: Workers,
    device: str,
    progress: Progress | None = None,
) -> dict[str, list[Outcome]]:
    """Return the outcomes of all candidates by the name of the evaluation.

    What was kept before is not measured again.

    Args:
        evaluations: of different names.
        candidates: architectures.
        kept: where results are found and written.
        workers: processes that measure.
        device: where candidates are trained.
        progress: called with lines of text as they are done: how many of how many, and what time
            is left (`ddcore.ground.Tally`).
    """
    found: dict[tuple[int, int], Mapping[str, Any]] = {}
    missing = []
    for job in product(range(len(evaluations)), range(len(candidates))):
        known = kept.find(*_key(evaluations, candidates, job))
        if known is None:
            missing.append(job)
        else:
            found[job] = known
    calls = [partial(outcome_of, evaluation.evaluator) for evaluation in evaluations]
    work = [(calls[place], (candidates[index],)) for place, index in missing]
    measured = workers.calls(work, torch.device(device), died=lambda reason: Outcome(None, reason, lasting=False))
    tally = Tally(progress, len(missing), "trainings")
    for number, outcome in measured:
        job = missing[number]
        found[job] = outcome.to_json()
        if outcome.lasting:
            kept.keep(*_key(evaluations, candidates, job), outcome.to_json())
        told = outcome.failure or f"{outcome.measured.accuracy:.2f} %"  # type: ignore[union-attr]
        tally.done(f"{evaluations[job[0]].name}, {candidates[job[1]].label}: {told}")
    return {
        evaluation.name: [Outcome.from_json(found[place, index]) for index in range(len(candidates))]
        for place, evaluation in enumerate(evaluations)
    }


def outcome_of(evaluator: ProxyEvaluator, candidate: Candidate) -> Outcome:
    """Return what becomes of a candidate, on one thread; a failure is an outcome."""
    with one_thread():
        try:
            return Outcome(evaluator.measure_one(candidate, evaluator.proxies[0]))
        except CandidateError as error:
            return Outcome(None, str(error))


def _key(
    evaluations: Sequence[Evaluation], candidates: Sequence[Candidate], job: tuple[int, int]
) -> tuple[str, dict[str, Any]]:
    evaluation, candidate = evaluations[job[0]], candidates[job[1]]
    return f"{evaluation.name} {candidate.label}", {**evaluation.facts, "candidate": candidate.describe()}
