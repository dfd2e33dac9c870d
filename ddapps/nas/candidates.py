"""Many candidates by one evaluator: through Ray where it is installed, in this process otherwise; kept as they come."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import torch

from ddapps.kept_results import KeptResults
from ddapps.nas.evaluator import Measurement, ProxyEvaluator
from ddapps.nas.spaces import Candidate
from ddcore.errors import CandidateError, MissingExtraError
from ddcore.settings import require

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one candidate.

    Attributes:
        measured: what its training told; None if it failed.
        failure: why it failed.
    """

    measured: Measurement | None
    failure: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON data."""
        return {"measured": None if self.measured is None else self.measured.to_json(), "failure": self.failure}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Outcome:
        """Return what `to_json` wrote."""
        measured = kept["measured"]
        return cls(None if measured is None else Measurement.from_json(measured), str(kept["failure"]))


@dataclass
class Workers:
    """Measures candidates, in ``count`` processes of Ray with a thread each, or in this process with one thread: the same numbers.

    Attributes:
        count: processes; 1: this one; 0: one per core where Ray is installed, this one otherwise.
    """

    count: int = 0
    _started: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        require(self.count >= 0, f"workers must not be negative, it is {self.count}")
        if self.count > 1 and find_spec("ray") is None:
            raise MissingExtraError("candidates in several processes", "ray", "ray")
        if self.count == 0:
            self.count = (os.cpu_count() or 1) if find_spec("ray") is not None else 1

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        if self._started:
            import ray

            ray.shutdown()
            self._started = False

    def measure(
        self,
        evaluator: ProxyEvaluator,
        candidates: Sequence[Candidate],
        *,
        name: str,
        facts: Mapping[str, Any],
        kept: KeptResults,
        run: int = 0,
        progress: Progress | None = None,
    ) -> list[Outcome]:
        """Return the outcome of each candidate, from before where it is known.

        Args:
            evaluator: with a single proxy.
            candidates: architectures.
            name: of the evaluation; tells its kept results from others.
            facts: what the results depend on besides the candidate.
            kept: where results are found and written.
            run: of the evaluator.
            progress: called with a line of text whenever one is done.
        """
        names = [f"{name} {candidate.label}" for candidate in candidates]
        each = [{**facts, "candidate": candidate.describe(), "run": run} for candidate in candidates]
        found: list[dict[str, Any] | None] = [kept.find(*known) for known in zip(names, each, strict=True)]
        missing = [index for index, known in enumerate(found) if known is None]
        for done, (index, outcome) in enumerate(self._measured(evaluator, candidates, missing, run), start=1):
            found[index] = kept.keep(names[index], each[index], outcome.to_json())
            if progress is not None:
                told = outcome.failure or f"{outcome.measured.accuracy:.2f} %"  # type: ignore[union-attr]
                progress(f"{name}: {done} of {len(missing)}, {candidates[index].label}: {told}")
        return [Outcome.from_json(known) for known in found if known is not None]

    def _measured(
        self, evaluator: ProxyEvaluator, candidates: Sequence[Candidate], missing: Sequence[int], run: int
    ) -> Iterator[tuple[int, Outcome]]:
        if self.count == 1 or len(missing) < 2:
            for index in missing:
                yield index, outcome_of(evaluator, candidates[index], run)
            return
        import ray

        if not ray.is_initialized():
            ray.init(num_cpus=self.count, include_dashboard=False, log_to_driver=False, configure_logging=False)
            self._started = True
        shared, task = ray.put(evaluator), ray.remote(num_cpus=1)(outcome_of)
        running = {task.remote(shared, candidates[index], run): index for index in missing}
        while running:
            (done, *_), _ = ray.wait(list(running))
            yield running.pop(done), ray.get(done)


def outcome_of(evaluator: ProxyEvaluator, candidate: Candidate, run: int = 0) -> Outcome:
    """Return what becomes of a candidate, on one thread; a failure is an outcome."""
    with one_thread():
        try:
            return Outcome(evaluator.measure_one(candidate, evaluator.proxies[0], run))
        except CandidateError as error:
            return Outcome(None, str(error))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside the block: sums are then added in the same order everywhere."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
