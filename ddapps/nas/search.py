"""``search``: one of NNI's strategies on a proxy, and full training of what it found."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import ddcore as dd
from ddapps.kept_results import KeptResults
from ddapps.nas.evaluator import ProxyEvaluator
from ddapps.nas.nni_package import require_nni
from ddapps.nas.search_space import Candidate, SearchSpace
from ddapps.nas.spaces import as_space, space_label
from ddapps.nas.truth import FULL
from ddcore.errors import CandidateError, InputDataError, UnknownNameError, UnsupportedError
from ddcore.evaluation import Protocol, as_protocol, held_out_split
from ddcore.ground import Tally, one_thread
from ddcore.settings import require, require_counts

if TYPE_CHECKING:
    from nni.nas.strategy.base import Strategy

STRATEGIES = ("evolution", "random")
POPULATION, TOURNAMENT, MUTATION = 10, 5, 0.2


@dataclass(frozen=True)
class Tried:
    """One candidate of a search.

    Attributes:
        candidate: the architecture.
        score: on the proxy; NaN if it failed.
        seconds: of its training and testing.
        failure: why it failed.
    """

    candidate: Candidate
    score: float
    seconds: float
    failure: str = ""


@dataclass(frozen=True)
class Finalist:
    """One of the best candidates, trained on the full data.

    Attributes:
        candidate: the architecture.
        score: on the proxy.
        validation, test: accuracies, in percent.
        seconds: of its full training.
    """

    candidate: Candidate
    score: float
    validation: float
    test: float
    seconds: float


@dataclass(frozen=True)
class Found:
    """What a search found, and what it cost.

    Attributes:
        data, space, strategy: names.
        tried: in the order of the search.
        finalists: best validation accuracy first.
        making_seconds: of distilling the proxies; a proxy serves any number of searches.
    """

    data: str
    space: str
    strategy: str
    tried: tuple[Tried, ...]
    finalists: tuple[Finalist, ...]
    making_seconds: float

    @property
    def search_seconds(self) -> float:
        """Time of all trials on the proxy."""
        return sum(tried.seconds for tried in self.tried)

    @property
    def training_seconds(self) -> float:
        """Time of full training of the finalists."""
        return sum(finalist.seconds for finalist in self.finalists)

    @property
    def full_search_seconds(self) -> float:
        """Time of the same trials on the full data, each as long as a finalist's mean."""
        return len(self.tried) * fmean(finalist.seconds for finalist in self.finalists)

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``ddapps nas search --json`` writes."""
        return {
            "data": self.data,
            "space": self.space,
            "strategy": self.strategy,
            "trials": len(self.tried),
            "failed": {tried.candidate.label: tried.failure for tried in self.tried if tried.failure},
            "found": [
                {
                    "choices": finalist.candidate.describe()["choices"],
                    "proxy_score": round(finalist.score, 3),
                    "validation_accuracy": round(finalist.validation, 3),
                    "test_accuracy": round(finalist.test, 3),
                    "seconds": round(finalist.seconds, 3),
                }
                for finalist in self.finalists
            ],
            "seconds": {
                "making_the_proxy": round(self.making_seconds, 2),
                "search": round(self.search_seconds, 2),
                "full_training_of_found": round(self.training_seconds, 2),
                "same_search_on_full_data": round(self.full_search_seconds, 2),
            },
            "speedup": round(self.full_search_seconds / self.search_seconds, 2),
            "tried": [
                {
                    "choices": tried.candidate.describe()["choices"],
                    "score": None if math.isnan(tried.score) else round(tried.score, 3),
                    "seconds": round(tried.seconds, 3),
                }
                for tried in self.tried
            ],
        }

    def __str__(self) -> str:
        failed = sum(bool(tried.failure) for tried in self.tried)
        lines = [
            f"{self.data}, space {self.space}, {self.strategy}: {len(self.tried)} candidates in {self.search_seconds:.1f} s, {failed} failed",
            f"{'proxy':>7} {'validation %':>12} {'test %':>7} {'seconds':>8}  found",
        ]
        lines += [
            f"{f.score:>7.2f} {f.validation:>12.2f} {f.test:>7.2f} {f.seconds:>8.1f}  {f.candidate.label}"
            for f in self.finalists
        ]
        lines.append(
            f"making the proxy: {self.making_seconds:.0f} s; full training of these: {self.training_seconds:.1f} s; the same search on the full data would take about "
            f"{self.full_search_seconds:.0f} s, {self.full_search_seconds / self.search_seconds:.1f} times the search on the proxy"
        )
        return "\n".join(lines)


def search(
    space: object,
    evaluator: ProxyEvaluator,
    *,
    strategy: str | Strategy = "evolution",
    trials: int = 50,
    top: int = 3,
    full: str | Protocol = FULL,
    seed: int = 0,
    directory: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Found:
    """Let a strategy search a space on a proxy; train its best candidates on the full data.

    A candidate that fails counts as a trial; the search goes on.

    Args:
        space: in any form that `as_space` takes.
        evaluator: scores candidates, and has the data.
        strategy: ``evolution`` (regularised, Real et al. 2019), ``random``, or one of NNI's
            multi-trial strategies.
        trials: candidates; fewer where the space has no more.
        top: how many are trained on the full data.
        full: how.
        seed: of the strategy.
        directory: where scores are kept as they come; the same search goes on from there.
        progress: called with lines of text as candidates are done: how many of how many, and what
            time is left (`ddcore.ground.Tally`).

    Raises:
        InputDataError: every candidate failed.
    """
    space, full, target = as_space(space), as_protocol(full), evaluator.target
    require_counts(trials=trials, top=top)
    require(
        evaluator.split == "validation",
        "a search chooses by the validation split: the test split only tells what came of it",
    )
    held_out_split(target, "test")
    chosen = strategy_by_name(strategy, trials, seed) if isinstance(strategy, str) else _multi_trial(strategy)
    with TemporaryDirectory() as temporary, one_thread():
        kept = KeptResults(Path(temporary if directory is None else directory))
        scoring = _Scoring(space, evaluator, kept, Tally(progress, trials, "candidates"))
        scoring.run(chosen, trials)
        sound = [tried for tried in scoring.tried if not tried.failure]
        if not sound:
            reason = scoring.tried[0].failure if scoring.tried else "the strategy proposed none"
            raise InputDataError(f"no candidate could be scored: {reason}")
        training = _FullTraining(
            replace(evaluator, protocol=full, proxy=target, score="accuracy", runs=1, combination=None), kept, progress
        )
        trained = (training(tried) for tried in sorted(sound, key=lambda tried: -tried.score))
        finals = list(islice((finalist for finalist in trained if finalist is not None), top))
    if not finals:
        raise InputDataError("no candidate could be trained on the full data")
    making = sum(float(p.record.get("seconds") or 0) for p in evaluator.proxies if isinstance(p, dd.DataSummary))
    name = strategy if isinstance(strategy, str) else type(strategy).__name__
    finalists = tuple(sorted(finals, key=lambda finalist: -finalist.validation))
    return Found(target.name, space_label(space), name, tuple(scoring.tried), finalists, making)


def strategy_by_name(name: str, trials: int, seed: int) -> Strategy:
    """Return a strategy of NNI for a number of trials."""
    if name not in STRATEGIES:
        raise UnknownNameError("strategy", name, STRATEGIES)
    require_nni()
    from nni.nas.strategy import Random, RegularizedEvolution

    if name == "random":
        return Random(seed=seed)
    population = max(1, min(POPULATION, trials // 2))
    return RegularizedEvolution(
        population_size=population, sample_size=min(TOURNAMENT, population), mutation_prob=MUTATION, seed=seed
    )


def _multi_trial(strategy: object) -> Strategy:
    """Return a strategy of NNI that proposes candidates one by one, or raise `UnsupportedError`."""
    require_nni()
    from nni.nas.oneshot.pytorch.strategy import OneShotStrategy
    from nni.nas.strategy.base import Strategy

    if not isinstance(strategy, Strategy) or isinstance(strategy, OneShotStrategy):
        raise UnsupportedError(
            f"strategy must be one of {', '.join(STRATEGIES)}, or an instance of a multi-trial strategy of NNI, not {strategy!r}"
        )
    return strategy


class _Scoring:
    """Scores what a strategy proposes, and remembers it."""

    def __init__(self, space: SearchSpace, evaluator: ProxyEvaluator, kept: KeptResults, tally: Tally) -> None:
        self.tried: list[Tried] = []
        self._space, self._evaluator, self._kept, self._tally = space, evaluator, kept, tally
        self._facts = evaluator.facts()
        self._error: Exception | None = None

    def run(self, strategy: Strategy, trials: int) -> None:
        """Run a strategy to its end in this process.

        NNI's experiment is not used: it writes into the home directory.
        """
        require_nni()
        from nni.nas.evaluator import FunctionalEvaluator
        from nni.nas.execution import SequentialExecutionEngine
        from nni.nas.space import SimplifiedModelSpace

        from ddapps.nas.model_spaces import Choices

        engine = SequentialExecutionEngine(max_model_count=trials, continue_on_failure=True)
        proposals = SimplifiedModelSpace.from_model(Choices(self._space), FunctionalEvaluator(self))
        try:
            with _quiet():
                strategy(proposals, engine)
        except Exception:
            # A strategy may need one success to go on from. Where all failed, their reasons are the
            # better news.
            if self._error is None and not (self.tried and all(tried.failure for tried in self.tried)):
                raise
        if self._error is not None:
            raise self._error

    def __call__(self, model: object) -> None:
        """Score the candidate that NNI is at, and report it."""
        import nni

        try:
            self._error_before()
            tried = self._score(self._space.candidate(dict(nni.get_current_parameter().sample)))
        except Exception as error:
            # NNI's engine takes whatever is raised for a failure of the candidate, and goes on.
            # This error is kept, and ends the search.
            self._error = self._error or error
            raise
        if tried.failure:
            raise CandidateError(tried.failure)
        nni.report_final_result(tried.score)

    def _error_before(self) -> None:
        if self._error is not None:
            raise self._error

    def _score(self, candidate: Candidate) -> Tried:
        facts = {**self._facts, "candidate": candidate.describe()}
        result = self._kept.get(candidate.label, facts, lambda: self._scored(candidate))
        failure = str(result["failure"])
        tried = Tried(candidate, math.nan if failure else float(result["score"]), float(result["seconds"]), failure)
        self.tried.append(tried)
        self._tally.done(f"{candidate.label}: {failure or f'{tried.score:.2f}'}")
        return tried

    def _scored(self, candidate: Candidate) -> dict[str, Any]:
        started = time.monotonic()
        try:
            score, failure = self._evaluator(candidate), ""
        except CandidateError as error:
            score, failure = math.nan, str(error)
        return {"score": None if failure else score, "failure": failure, "seconds": time.monotonic() - started}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep NNI from logging the traceback of every failed candidate: they are reported."""
    logger = logging.getLogger("nni")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@dataclass(frozen=True)
class _FullTraining:
    """Trains candidates on the full data.

    The validation split decides among them, the test split tells what came of it.
    """

    evaluator: ProxyEvaluator
    kept: KeptResults
    progress: Callable[[str], None] | None

    def __call__(self, tried: Tried) -> Finalist | None:
        """Return what came of one; None: it failed."""
        candidate = tried.candidate
        facts = {
            **self.evaluator.facts(),
            "tested_on": self.evaluator.hash_of("test"),
            "candidate": candidate.describe(),
        }
        found = self.kept.get(f"full {candidate.label}", facts, lambda: self._trained(candidate))
        if self.progress is not None:
            told = found["failure"] or f"{found['validation']:.2f} % on the validation split"
            self.progress(f"trained on the full data: {candidate.label}: {told}")
        if found["failure"]:
            return None
        return Finalist(candidate, tried.score, found["validation"], found["test"], found["seconds"])

    def _trained(self, candidate: Candidate) -> dict[str, Any]:
        started = time.monotonic()
        try:
            network = self.evaluator.train(candidate, self.evaluator.target)
            seconds = time.monotonic() - started
            validation, loss = self.evaluator.test(network)
            test, _ = self.evaluator.test(network, "test")
            failure = "" if math.isfinite(loss) else "diverged"
        except CandidateError as error:
            return {"failure": str(error)}
        return {"failure": failure, "validation": validation, "test": test, "seconds": seconds}
