"""``make_proxy``: a proxy dataset for a space, with the evidence of how it ranks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import ddcore as dd
from ddapps.nas.auto import AUTO, METHODS_OF_AUTO, chosen, leading
from ddapps.nas.bench import Bench
from ddapps.nas.combined import CombinedProxy
from ddapps.nas.dataset import ProxyDataset, require_new
from ddapps.nas.evaluator import COMBINED, PROXY
from ddapps.nas.plot import plot
from ddapps.nas.proxies import SummaryProxy
from ddapps.nas.proxy import Proxy
from ddapps.nas.rank import rank, with_validation
from ddapps.nas.search_space import described
from ddapps.nas.spaces import as_space, space_label
from ddapps.nas.truth import FULL
from ddapps.pictures import as_png
from ddcore.errors import InputDataError
from ddcore.evaluation import Protocol, as_protocol
from ddcore.ground import resolve_device
from ddcore.parts import TargetData
from ddcore.settings import require_counts

CHOICE = ("accuracy", "loss", "training-loss")
"""Scores that one training tells together: `make_proxy` chooses among them at no further cost."""


def make_proxy(
    target: TargetData,
    space: object,
    method: str = "dm",
    *,
    ipc: int = 10,
    pool: int = 20,
    score: str | None = None,
    seeds: int = 3,
    seed: int = 0,
    sample: int = 20,
    pilot: int = 10,
    protocol: str | Protocol = PROXY,
    full: str | Protocol = FULL,
    steps: int | None = None,
    device: str = "auto",
    workers: int = 0,
    directory: str | Path,
    progress: Callable[[str], None] | None = None,
) -> ProxyDataset:
    """Distil a proxy dataset for a space, measure how it ranks a sample, and write both.

    Args:
        target: the data.
        space: in any form that `as_space` takes.
        method: a method's name; a selection rule uses no networks. ``auto``: random, herding and DM
            are tried, and each of them combined with free scores (`CombinedProxy`). The one whose
            ranking agrees best with full training on the validation split is taken if it is above
            random images by the paired interval, at as many images and at equal whole cost. Else
            random images are.
        ipc: examples per class.
        pool: how many architectures of the space take turns during distillation.
        score: what candidates are ranked by, of `SCORES`. None: that of `CHOICE` whose ranking
            agrees best with accuracies of full training on the validation split. The evidence is
            about the test split.
        seeds: summaries.
        seed: the first of them.
        sample: architectures that the evidence is about; each is trained on the full data,
            ``seeds`` times.
        pilot: architectures that combinations are fitted on, for ``auto``.
        protocol: of training on the proxy.
        full: of training on the full data.
        steps: of distillation, instead of the preset's.
        device: ``auto``, ``cpu``, ``cuda``, ...
        workers: as in `rank_proxies`.
        directory: where it is written; what was finished there before is taken up.
        progress: called with a line of text when a training is done.

    Raises:
        InputDataError: no score ranks the sample, so that none can be chosen.
        OutputExistsError: the directory holds a proxy dataset already.
    """
    directory, space, protocol, full = Path(directory), as_space(space), as_protocol(protocol), as_protocol(full)
    require_new(directory)
    require_counts(sample=sample, seeds=seeds, pool=pool, pilot=pilot)
    as_png(directory / "scatter.png")  # drawn last: matplotlib is asked for first
    target = with_validation(target)
    scores = CHOICE if score is None else (score,)

    def of(name: str) -> list[SummaryProxy]:
        selects = dd.methods.build_method(name, ipc=ipc, preset="cpu").matching is None
        return [
            SummaryProxy(method=name, ipc=ipc, pool=0 if selects else pool, score=by, averaged=True) for by in scores
        ]

    random = of("random")
    plain = {p.name: p for name in (METHODS_OF_AUTO if method == AUTO else (method,)) for p in of(name)}
    proxies: dict[str, Proxy] = dict(plain)
    if method == AUTO:
        bases = dict.fromkeys(p.data_name for p in plain.values())
        proxies |= {p.name: p for p in (CombinedProxy(pilot=pilot, of=base, averaged=True) for base in bases)}
    bench = Bench(target, space, "", steps, directory / "work", str(resolve_device(device)), progress)
    compare = partial(
        rank,
        target,
        space,
        list((proxies | {p.name: p for p in random}).values()),
        sample=sample,
        seeds=seeds,
        seed=seed,
        protocol=protocol,
        full=full,
        steps=steps,
        device=device,
        workers=workers,
        directory=bench.directory,
        progress=progress,
    )
    found = compare()
    evidence = found.to_json()
    if method == AUTO:
        randoms = [p.name for p in random]
        contestants = [name for name in proxies if name not in randoms]
        paired: set[str] = set()
        # Where a rival fails on an architecture, all rows lose it, and another may lead.
        while (leader := leading(found, contestants, randoms)[0]) is not None and leader.name not in paired:
            paired.add(leader.name)
            found = compare(equal_cost=paired)
        choice = chosen(found, contestants, randoms)
        best, evidence = choice.chosen, {**found.to_json(), "choice": choice.to_json()}
    else:
        row = found.best(proxies)
        if score is None and row is None:
            raise InputDataError(f"no score ranks these architectures: {'; '.join(found.unranked.values())}")
        best = next(iter(proxies)) if row is None else row.name
    taken = (proxies | {p.name: p for p in random})[best]
    base = taken.base if isinstance(taken, CombinedProxy) else taken
    assert isinstance(base, SummaryProxy)
    combination = next((row.combinations[0] for row in found.rows if row.name == best and row.combinations), None)
    made_for = {"space": described(space), "data": target.fingerprint()}
    made = ProxyDataset(
        tuple(base.data(bench, number) for number in range(seed, seed + seeds)),
        space_label(space),
        protocol,
        base.score if combination is None else COMBINED,
        evidence,
        full,
        json.loads(json.dumps(made_for)),
        combination,
    )
    made.save(directory)
    plot(found, directory)
    return made
