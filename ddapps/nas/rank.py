"""``rank``: how well proxies rank a sample of a space, against the truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import ddcore as dd
from ddapps.kept_results import KeptResults
from ddapps.nas.candidates import Evaluation, Outcome, crew, measure
from ddapps.nas.correlation import rank_correlation, require_ranking, tau_difference, top_within
from ddapps.nas.evaluator import PROXY, ProxyEvaluator
from ddapps.nas.outcomes import Agreement, Ranking, Row
from ddapps.nas.proxies import Bench, Proxy, checked, parse_proxies
from ddapps.nas.search_space import Candidate, SearchSpace
from ddapps.nas.spaces import as_space, space_label
from ddapps.nas.truth import FULL, Table, Truth, load_table
from ddcore.errors import InputDataError, MissingExtraError, UnsupportedError
from ddcore.evaluation import Protocol, as_protocol, held_out_split
from ddcore.ground import derive_seed, resolve_device
from ddcore.settings import require, require_counts

VALIDATION = 1000
"""Most examples that are held out for scoring, where the data has no validation split."""


def rank(
    target: dd.TargetData,
    space: object,
    proxies: str | Sequence[Proxy],
    *,
    sample: int = 30,
    truth: str | Path | Table = "train",
    seeds: int = 3,
    seed: int = 0,
    protocol: str | Protocol = PROXY,
    full: str | Protocol = FULL,
    network: str = "convnet(width=32)",
    steps: int | None = None,
    top: Sequence[int] = (1, 5),
    device: str = "auto",
    workers: int = 0,
    directory: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Ranking:
    """Score a sample of architectures by each proxy, and compare the rankings with the truth.

    Proxies are scored on a validation split (one is carved where the data has none). The truth is
    measured on both splits by one training. `Ranking.best` chooses by the validation split; the
    numbers that are reported are of the test split.

    Args:
        target: the data.
        space: in any form that `as_space` takes.
        proxies: such as ``"dm:10,random:10,early-stop:1"``, or `Proxy` objects.
        sample: architectures.
        truth: ``train``: each is trained on the full data, ``seeds`` times. Or a table, or the file
            of one (`load_table`), which may know the test split alone.
        seeds: repetitions, each with a proxy, weights and order of its own.
        seed: the first of them, and that of the sample.
        protocol: of training on a proxy.
        full: of training on the full data.
        network: what summaries are distilled on, unless they say otherwise.
        steps: of distillation, instead of the preset's.
        top: the values of k for precision and regret.
        device: ``auto``, ``cpu``, ``cuda``, ...
        workers: processes of Ray that train candidates. 1: this process does. 0: one per core where
            Ray is installed and the device is a processor.
        directory: where results are kept as they come; the same comparison goes on from there.
        progress: called with a line of text when a training is done.
    """
    space, protocol, full = as_space(space), as_protocol(protocol), as_protocol(full)
    proxies = parse_proxies(proxies) if isinstance(proxies, str) else checked(proxies)
    require_counts(sample=sample, seeds=seeds)
    require(sample >= 3, f"a correlation needs at least 3 architectures, not {sample}")
    top_within(top, sample)
    target = with_validation(target)
    if truth == "train":
        held_out_split(target, "test")
        candidates, true = space.sample(sample, seed), None
    else:
        table = truth if isinstance(truth, Table) else load_table(truth, space, target.name)
        candidates, true = table.sample(sample, seed)
    processes = crew(workers, device)
    place_of_training = str(processes.device_of_call(resolve_device(device)))
    with TemporaryDirectory() as temporary:
        place = Path(temporary if directory is None else directory)
        bench = Bench(target, space, network, steps, place, place_of_training, progress)
        trial = _Trial(bench, range(seed, seed + seeds))
        # What cannot be made is found out before anything is trained.
        _require_suited(candidates[0], target.spec)
        for proxy in proxies:
            proxy.check(bench, seed)
        by_proxy = {proxy.name: trial.on_proxy(proxy, protocol, full) for proxy in proxies}
        on_all = trial.on_full_data(full) if true is None else []
        evaluations = {e.name: e for e in (*on_all, *(e for each in by_proxy.values() for e in each))}
        outcomes = measure(
            list(evaluations.values()), candidates, KeptResults(place), processes, place_of_training, progress
        )
    runs = [outcomes[evaluation.name] for evaluation in on_all]
    rows = [
        (proxy, [outcomes[evaluation.name] for evaluation in by_proxy[proxy.name]], _making(by_proxy[proxy.name]))
        for proxy in proxies
    ]
    return _ranking(target.name, space, candidates, true or _truth(runs), [("full training", runs)], rows, top)


def with_validation(target: dd.TargetData) -> dd.TargetData:
    """Return the data with a validation split: its own, or one of its training examples.

    That has up to `VALIDATION` examples, a fifth of them at most.
    """
    if target.validation is not None:
        return target
    return target.with_validation(min(0.2, VALIDATION / len(target.train)))


def _require_suited(candidate: Candidate, spec: dd.Spec) -> None:
    """Raise `UnsupportedError` if a space cannot take such examples, or `MissingExtraError`.

    A candidate that fails otherwise is one that fails.
    """
    try:
        candidate.module(spec.shape, spec.num_classes)
    except (MissingExtraError, UnsupportedError):
        raise
    except Exception:
        return


@dataclass(frozen=True)
class _Trial:
    """The evaluations of one comparison."""

    bench: Bench
    seeds: range

    def on_full_data(self, full: Protocol) -> list[Evaluation]:
        """Return the evaluations that make the truth, one per seed.

        Each is full training, tested on both held-out splits.
        """
        target, device = self.bench.target, self.bench.device
        return [
            Evaluation(
                f"truth on both splits {seed}",
                ProxyEvaluator(target, target, full, seed=seed, device=device, also_test=True),
            )
            for seed in self.seeds
        ]

    def on_proxy(self, proxy: Proxy, protocol: Protocol, full: Protocol) -> list[Evaluation]:
        """Return the evaluations on a proxy, one per seed, each on data of its own."""
        found = []
        for seed in self.seeds:
            data = proxy.data(self.bench, seed)
            # A proxy whose score needs no curve shares its trainings with others on the same data.
            score = proxy.score if proxy.score == "area" else "accuracy"
            evaluator = ProxyEvaluator(
                data,
                self.bench.target,
                proxy.protocol(protocol, full),
                score=score,
                # Weights and order differ from full training: what chance does to the truth must
                # not help a proxy.
                seed=derive_seed(seed, "proxy"),
                device=self.bench.device,
            )
            name = f"{proxy.data_name} {seed}" + (" area" if score == "area" else "")
            found.append(Evaluation(name, evaluator))
        return found


def _truth(runs: Sequence[Sequence[Outcome]]) -> Truth:
    """Return the truth that full trainings found, seeds x candidates."""
    test, validation, seconds = (
        tuple(tuple(_number(outcome, name) for outcome in outcomes) for outcomes in zip(*runs, strict=True))
        for name in ("test", "accuracy", "seconds")
    )
    return Truth("train", test, tuple(fmean(each) for each in seconds), validation)


def _making(evaluations: Sequence[Evaluation]) -> float:
    """Return the mean seconds that it took to make what candidates are trained on."""
    summaries = [e.evaluator.proxies[0] for e in evaluations]
    return fmean(float(s.record.get("seconds") or 0) if isinstance(s, dd.DataSummary) else 0.0 for s in summaries)


def _number(outcome: Outcome, name: str) -> float:
    return math.nan if outcome.measured is None else float(getattr(outcome.measured, name))


def _ranking(
    data: str,
    space: SearchSpace,
    candidates: Sequence[Candidate],
    truth: Truth,
    full: Sequence[tuple[str, Sequence[Sequence[Outcome]]]],
    measured: Sequence[tuple[Proxy, Sequence[Sequence[Outcome]], float]],
    top: Sequence[int],
) -> Ranking:
    """Compare on the architectures that nothing failed on: every row is about the same ones."""
    failed: dict[str, str] = {}
    for name, runs in (*full, *((proxy.name, seeds) for proxy, seeds, _ in measured)):
        for outcomes in runs:
            for candidate, outcome in zip(candidates, outcomes, strict=True):
                if outcome.measured is None:
                    failed.setdefault(candidate.label, f"{name}: {outcome.failure}")
    sound = [index for index, candidate in enumerate(candidates) if candidate.label not in failed]
    if len(sound) < 3:
        reason = next(iter(failed.values()))
        raise InputDataError(f"only {len(sound)} of {len(candidates)} architectures could be trained: {reason}")
    true = truth.of(sound)
    require_ranking(true.means, "true")
    if true.validation_means is not None:
        require_ranking(true.validation_means, "true validation")
    within = [k for k in top if k <= len(sound)] or [1]
    scored: dict[str, tuple[list[list[float]], float, float]] = {}
    unranked = {}
    for proxy, seeds, making in measured:
        each = [[outcomes[index] for index in sound] for outcomes in seeds]
        scores = [[o.measured.score(proxy.score) for o in outcomes if o.measured is not None] for outcomes in each]
        seconds = [fmean(_number(o, "seconds") for o in outcomes) for outcomes in each]
        if proxy.averaged:
            scores, seconds = [[fmean(column) for column in zip(*scores, strict=True)]], [sum(seconds)]
        try:
            for repetition in scores:
                require_ranking(repetition, "proxy")
        except InputDataError as error:
            unranked[proxy.name] = str(error)
        else:
            scored[proxy.name] = (scores, fmean(seconds), making * len(seeds) if proxy.averaged else making)
    if not scored:
        raise InputDataError(f"no proxy ranks these architectures: {next(iter(unranked.values()))}")
    all_scores = {name: scores for name, (scores, _, _) in scored.items()}
    test = _agreements(all_scores, true.means, within)
    validation = None if true.validation_means is None else _agreements(all_scores, true.validation_means, within)
    rows = tuple(
        Row(name, scores, seconds, making, test[name], None if validation is None else validation[name])
        for name, (scores, seconds, making) in scored.items()
    )
    labels = tuple(candidates[index].label for index in sound)
    return Ranking(data, space_label(space), labels, true, rows, failed, unranked)


def _agreements(
    scores: Mapping[str, list[list[float]]], true: Sequence[float], top: Sequence[int]
) -> dict[str, Agreement]:
    """Return how each proxy agrees with true accuracies."""
    return {
        name: Agreement(
            rank_correlation(mine, true, top=top),
            {other: tau_difference(mine, theirs, true) for other, theirs in scores.items() if other != name},
        )
        for name, mine in scores.items()
    }
