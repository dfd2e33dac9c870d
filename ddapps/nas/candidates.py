"""Many candidates by one evaluator: through Ray where it is installed, else in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from itertools import product
from typing import Any

import torch

from ddapps.kept_results import KeptResults
from ddapps.nas.evaluator import Measurement, ProxyEvaluator
from ddapps.nas.search_space import Candidate
from ddcore.errors import CandidateError, MissingExtraError, UnsupportedError
from ddcore.ground import resolve_device
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


@dataclass
class Workers:
    """Measures candidates, in processes of Ray or in this one: the numbers are the same.

    Every process uses one thread.

    Attributes:
        count: processes; 1: this one. 0: one per core where Ray is installed and the device is a
            processor, this one otherwise.
        device: where candidates are trained.
    """

    count: int = 0
    device: str = "auto"
    _started: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        require(self.count >= 0, f"workers must not be negative, it is {self.count}")
        if self.count > 1 and find_spec("ray") is None:
            raise MissingExtraError("candidates in several processes", "ray", "ray")
        on_cpu = resolve_device(self.device).type == "cpu"
        if self.count > 1 and not on_cpu:
            raise UnsupportedError(f"{self.count} processes cannot share {self.device}: use workers=1, or device='cpu'")
        if self.count == 0:
            self.count = (os.cpu_count() or 1) if on_cpu and find_spec("ray") is not None else 1

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        if self._started:
            import ray

            ray.shutdown()
            self._started = False

    def measure(
        self,
        evaluations: Sequence[Evaluation],
        candidates: Sequence[Candidate],
        kept: KeptResults,
        progress: Progress | None = None,
    ) -> dict[str, list[Outcome]]:
        """Return the outcomes of all candidates by the name of the evaluation.

        What was kept before is not measured again.

        Args:
            evaluations: of different names.
            candidates: architectures.
            kept: where results are found and written.
            progress: called with a line of text whenever one is done.
        """
        found: dict[tuple[int, int], Mapping[str, Any]] = {}
        missing = []
        for job in product(range(len(evaluations)), range(len(candidates))):
            known = kept.find(*self._key(evaluations, candidates, job))
            if known is None:
                missing.append(job)
            else:
                found[job] = known
        for done, (job, outcome) in enumerate(self._measured(evaluations, candidates, missing), start=1):
            found[job] = outcome.to_json()
            if outcome.lasting:
                kept.keep(*self._key(evaluations, candidates, job), outcome.to_json())
            if progress is not None:
                told = outcome.failure or f"{outcome.measured.accuracy:.2f} %"  # type: ignore[union-attr]
                name, label = evaluations[job[0]].name, candidates[job[1]].label
                progress(f"{done} of {len(missing)}: {name}, {label}: {told}")
        return {
            evaluation.name: [Outcome.from_json(found[place, index]) for index in range(len(candidates))]
            for place, evaluation in enumerate(evaluations)
        }

    @staticmethod
    def _key(
        evaluations: Sequence[Evaluation], candidates: Sequence[Candidate], job: tuple[int, int]
    ) -> tuple[str, dict[str, Any]]:
        evaluation, candidate = evaluations[job[0]], candidates[job[1]]
        return f"{evaluation.name} {candidate.label}", {**evaluation.facts, "candidate": candidate.describe()}

    def _measured(
        self, evaluations: Sequence[Evaluation], candidates: Sequence[Candidate], jobs: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[tuple[int, int], Outcome]]:
        if self.count == 1 or len(jobs) < 2:
            for job in jobs:
                yield job, outcome_of(evaluations[job[0]].evaluator, candidates[job[1]])
            return
        import ray

        if not ray.is_initialized():
            ray.init(num_cpus=self.count, include_dashboard=False, log_to_driver=False, configure_logging=False)
            self._started = True
        task, waiting = ray.remote(outcome_of), list(reversed(jobs))
        shared: dict[int, Any] = {}
        running: dict[Any, tuple[int, int]] = {}
        while waiting or running:
            while waiting and len(running) < 2 * self.count:
                place, index = waiting.pop()
                if place not in shared:
                    # Jobs come evaluation by evaluation: data that no job waits for is let go.
                    shared = {
                        known: data for known, data in shared.items() if known in {p for p, _ in running.values()}
                    }
                    shared[place] = ray.put(evaluations[place].evaluator)
                running[task.remote(shared[place], candidates[index])] = (place, index)
            (done, *_), _ = ray.wait(list(running))
            job = running.pop(done)
            try:
                outcome = ray.get(done)
            except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
                outcome = Outcome(None, f"its process died: {type(error).__name__}", lasting=False)
            yield job, outcome


def outcome_of(evaluator: ProxyEvaluator, candidate: Candidate) -> Outcome:
    """Return what becomes of a candidate, on one thread; a failure is an outcome."""
    with one_thread():
        try:
            return Outcome(evaluator.measure_one(candidate, evaluator.proxies[0]))
        except CandidateError as error:
            return Outcome(None, str(error))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside the block: sums have the same order everywhere."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
