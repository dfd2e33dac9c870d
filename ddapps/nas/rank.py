"""``rank``: how well proxies rank a sample of a space, against the truth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import ddcore as dd
from ddapps.kept_results import KeptResults
from ddapps.nas.bench import Bench
from ddapps.nas.by_name import checked, parse_proxies, with_free
from ddapps.nas.candidates import Evaluation, Outcomes, crew, measure
from ddapps.nas.compared import Comparison
from ddapps.nas.correlation import top_within
from ddapps.nas.equal_cost import equal_cost_rivals
from ddapps.nas.evaluator import PROXY
from ddapps.nas.outcomes import Ranking
from ddapps.nas.proxy import Proxy
from ddapps.nas.search_space import Candidate
from ddapps.nas.spaces import as_space, space_label
from ddapps.nas.trials import Plan, Trial
from ddapps.nas.truth import FULL, Table, load_table
from ddcore.errors import MissingExtraError, UnsupportedError
from ddcore.evaluation import Protocol, as_protocol, held_out_split
from ddcore.ground import resolve_device
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
    equal_cost: bool | Collection[str] = False,
    directory: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Ranking:
    """Score a sample of architectures by each proxy, and compare the rankings with the truth.

    Proxies are scored on a validation split (one is carved where the data has none). The truth is
    measured on both splits by one training. `Ranking.best` chooses by the validation split; the
    numbers that are reported are of the test split. The free scores (`FREE`) are in every
    comparison.

    Args:
        target: the data.
        space: in any form that `as_space` takes.
        proxies: such as ``"dm:10,random:10,early-stop:1"`` or ``"combined:10(of=random:10)"``, or
            `Proxy` objects.
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
        equal_cost: whether random images that cost as much as a proxy are ranked as well: as many
            as its whole cost buys, its making and its pilot included (`equal_cost_rivals`). Or the
            names of the proxies that get such rivals.
        directory: where results are kept as they come; the same comparison goes on from there.
        progress: called with a line of text when a training is done.
    """
    space, protocol, full = as_space(space), as_protocol(protocol), as_protocol(full)
    proxies = with_free(parse_proxies(proxies) if isinstance(proxies, str) else checked(proxies))
    require_counts(sample=sample, seeds=seeds)
    require(sample >= 3, f"a correlation needs at least 3 architectures, not {sample}")
    top_within(top, sample)
    target = with_validation(target)
    table: Table | None = None
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
        trial = Trial(bench, range(seed, seed + seeds), protocol, full, candidates, table)
        # What cannot be made is found out before anything is distilled or trained.
        _require_suited(candidates[0], target.spec)
        for proxy in proxies:
            proxy.check(trial)

        def measured(jobs: Sequence[tuple[Evaluation, Sequence[Candidate]]]) -> Outcomes:
            return measure(jobs, KeptResults(place), processes, place_of_training, progress)

        on_all = trial.truth()
        plans = {proxy: proxy.plans(trial) for proxy in proxies}
        jobs: list[tuple[Evaluation, Sequence[Candidate]]] = [(evaluation, candidates) for evaluation in on_all]
        jobs += [job for each in plans.values() for plan in each for job in plan.jobs(candidates)]
        comparison = Comparison(candidates, on_all, plans, measured(jobs))
        rivals: dict[str, tuple[str, ...]] = {}
        if equal_cost:
            wanted = None if equal_cost is True else set(equal_cost)
            found = {
                p: equal_cost_rivals(p, comparison, protocol, target)
                for p in proxies
                if wanted is None or p.name in wanted
            }
            known = {proxy.name: proxy for proxy in plans}
            added = [r for each in found.values() for r in each if r.name not in known]
            more: dict[Proxy, list[Plan]] = {proxy: proxy.plans(trial) for proxy in dict.fromkeys(added)}
            outcomes = measured([job for each in more.values() for plan in each for job in plan.jobs(candidates)])
            comparison = Comparison(candidates, on_all, plans | more, {**comparison.outcomes, **outcomes})
            rivals = {p.name: tuple(r.name for r in each) for p, each in found.items() if each}
    return comparison.ranking(target.name, space_label(space), true, top, rivals)


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
