"""``rank``: how well proxies rank a sample of a space, against the truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import ddcore as dd
from ddapps.kept_results import KeptResults
from ddapps.nas.candidates import Outcome, Workers
from ddapps.nas.correlation import rank_correlation, tau_difference
from ddapps.nas.evaluator import PROXY, ProxyEvaluator
from ddapps.nas.outcomes import Ranking, Row
from ddapps.nas.proxies import Bench, Proxy, SummaryProxy, checked, parse_proxies
from ddapps.nas.spaces import Candidate, SearchSpace, as_space, space_label
from ddapps.nas.truth import FULL, Table, Truth, load_table
from ddcore.errors import InputDataError, SettingsError
from ddcore.evaluation import Protocol, as_protocol, held_out_split
from ddcore.settings import require_counts

VALIDATION = 1000
"""Most examples that are held out for scoring candidates, where the data has no validation split."""


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
    workers: int = 0,
    directory: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Ranking:
    """Score a sample of architectures by each proxy, and compare the rankings with the true one.

    Proxies are scored on a validation split (one is carved where the data has none), the truth on the test split.

    Args:
        target: the data.
        space: in any form that `as_space` takes.
        proxies: such as ``"dm:10,random:10,early-stop:1"``, or `Proxy` objects.
        sample: architectures.
        truth: ``train``: each is trained on the full data, ``seeds`` times; or a table, or the file of one (`load_table`).
        seeds: repetitions, each with a proxy, weights and order of its own.
        seed: the first of them, and that of the sample.
        protocol: of training on a proxy.
        full: of training on the full data.
        network: what summaries are distilled on, unless they say otherwise.
        steps: of distillation, instead of the preset's.
        top: the values of k for precision and regret.
        workers: processes, see `Workers`.
        directory: where results are kept as they come; the same comparison goes on from there.
        progress: called with a line of text when a training is done.
    """
    space, protocol, full = as_space(space), as_protocol(protocol), as_protocol(full)
    proxies = parse_proxies(proxies) if isinstance(proxies, str) else checked(proxies)
    require_counts(sample=sample, seeds=seeds)
    if not any(k <= sample for k in top):
        raise SettingsError(f"top holds no k from 1 to {sample}, the size of the sample")
    target = with_validation(target)
    table = truth if isinstance(truth, Table) else None
    if table is None and truth != "train":
        table = load_table(truth, space, target.name)
    with TemporaryDirectory() as temporary, Workers(workers) as crew:
        place = Path(temporary if directory is None else directory)
        bench = Bench(target, space, network, steps, place, progress)
        # What cannot be made is found out before anything is trained.
        for proxy in proxies:
            if isinstance(proxy, SummaryProxy):
                proxy.method_for(bench, seed)
        run_seeds = range(seed, seed + seeds)
        trial = _Trial(bench, crew, KeptResults(place), run_seeds, progress)
        if table is None:
            candidates = space.sample(sample, seed)
            true = trial.truth(candidates, full)
        else:
            candidates, true = table.sample(sample, seed)
        measured = {proxy.name: trial.outcomes(proxy, candidates, protocol) for proxy in proxies}
    rows = [(proxy, measured[proxy.name]) for proxy in proxies]
    return _ranking(target.name, space, candidates, true, rows, tuple(top))


def with_validation(target: dd.TargetData) -> dd.TargetData:
    """Return the data with a validation split: its own, or up to `VALIDATION` of its training examples, a fifth at most."""
    if target.validation is not None:
        return target
    return target.with_validation(min(0.2, VALIDATION / len(target.train)))


@dataclass(frozen=True)
class _Trial:
    """Trainings of one comparison."""

    bench: Bench
    crew: Workers
    kept: KeptResults
    seeds: range
    progress: Callable[[str], None] | None

    def truth(self, candidates: Sequence[Candidate], full: Protocol) -> Truth:
        """Return the accuracies on the test split after full training."""
        target = self.bench.target
        held_out_split(target, "test")
        runs = []
        for seed in self.seeds:
            evaluator = ProxyEvaluator(target, target, full, split="test", seed=seed)
            runs.append(self.measure(f"truth {seed}", evaluator, candidates, {"trained_on": "all"}))
        each = list(zip(*runs, strict=True))
        accuracies = tuple(tuple(_number(outcome, "accuracy") for outcome in outcomes) for outcomes in each)
        seconds = tuple(fmean(_number(outcome, "seconds") for outcome in outcomes) for outcomes in each)
        return Truth("train", accuracies, seconds)

    def outcomes(self, proxy: Proxy, candidates: Sequence[Candidate], protocol: Protocol) -> list[list[Outcome]]:
        """Return seeds x candidates."""
        found = []
        for seed in self.seeds:
            data = proxy.data(self.bench, seed)
            # A proxy whose score needs no curve shares its trainings with others on the same data.
            score = proxy.score if proxy.score == "area" else "accuracy"
            evaluator = ProxyEvaluator(data, self.bench.target, proxy.protocol(protocol), score=score, seed=seed)
            facts = data.sha256() if isinstance(data, dd.DataSummary) else data.fingerprint()
            name = f"{proxy.data_name} {seed}" + (" area" if score == "area" else "")
            found.append(self.measure(name, evaluator, candidates, {"trained_on": facts}))
        return found

    def measure(
        self, name: str, evaluator: ProxyEvaluator, candidates: Sequence[Candidate], more: dict[str, Any]
    ) -> list[Outcome]:
        facts = {
            "data": self.bench.target.fingerprint(),
            "protocol": dd.describe(evaluator.protocol),
            "split": evaluator.split,
            "held_out": len(held_out_split(evaluator.target, evaluator.split)),
            "seed": evaluator.seed,
            "version": dd.__version__,
            **more,
        }
        return self.crew.measure(evaluator, candidates, name=name, facts=facts, kept=self.kept, progress=self.progress)


def _number(outcome: Outcome, name: str) -> float:
    return math.nan if outcome.measured is None else float(getattr(outcome.measured, name))


def _ranking(
    data: str,
    space: SearchSpace,
    candidates: Sequence[Candidate],
    truth: Truth,
    measured: Sequence[tuple[Proxy, list[list[Outcome]]]],
    top: tuple[int, ...],
) -> Ranking:
    """Compare on the architectures that nothing failed on, so that every row and difference is about the same ones."""
    failed: dict[str, str] = {}
    for index, candidate in enumerate(candidates):
        if math.isnan(truth.means[index]):
            failed[candidate.label] = "full training failed"
        for proxy, seeds in measured:
            failures = [outcomes[index].failure for outcomes in seeds if outcomes[index].measured is None]
            if failures:
                failed.setdefault(candidate.label, f"{proxy.name}: {failures[0]}")
    sound = [index for index, candidate in enumerate(candidates) if candidate.label not in failed]
    if len(sound) < 3:
        reason = next(iter(failed.values()))
        raise InputDataError(f"only {len(sound)} of {len(candidates)} architectures could be trained: {reason}")
    true = truth.of(sound)
    rows = []
    for proxy, seeds in measured:
        each = [[outcomes[index] for index in sound] for outcomes in seeds]
        scores = [[o.measured.score(proxy.score) for o in outcomes if o.measured is not None] for outcomes in each]
        seconds = [fmean(_number(o, "seconds") for o in outcomes) for outcomes in each]
        if proxy.averaged:
            scores, seconds = [[fmean(column) for column in zip(*scores, strict=True)]], [sum(seconds)]
        rows.append(Row(proxy.name, scores, fmean(seconds), rank_correlation(scores, true.means, top=top), {}))
    compared = [
        replace(
            row, differences={o.name: tau_difference(row.scores, o.scores, true.means) for o in rows if o is not row}
        )
        for row in rows
    ]
    labels = tuple(candidates[index].label for index in sound)
    return Ranking(data, space_label(space), labels, true, tuple(compared), failed)
