"""``make_proxy``: summaries for a space, with the evidence of how they rank it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import ddcore as dd
from ddapps.nas.bench import Bench
from ddapps.nas.evaluator import PROXY, ProxyEvaluator
from ddapps.nas.measurement import SCORES
from ddapps.nas.plot import plot
from ddapps.nas.proxies import SummaryProxy
from ddapps.nas.rank import rank, with_validation
from ddapps.nas.search_space import described
from ddapps.nas.spaces import as_space, space_label
from ddapps.nas.truth import FULL
from ddapps.pictures import as_png
from ddcore.errors import (
    DistillationError,
    InputDataError,
    OutputExistsError,
    SettingsError,
    SummaryFormatError,
    UnknownNameError,
)
from ddcore.evaluation import Protocol, as_protocol
from ddcore.ground import UNDEFINED, counted, read_json, resolve_device, write_atomically
from ddcore.parts import NoAugmentation, TargetData
from ddcore.settings import override, require_counts
from ddcore.summary import DataSummary
from ddcore.training import Training

FORMAT, FILE, CARD, MAX_JSON = 1, "proxy.json", "README.md", 2**22
CHOICE = ("accuracy", "loss", "training-loss")
"""Scores that one training tells together: `make_proxy` chooses among them at no further cost."""
SCHEDULE = tuple(f.name for f in fields(Training) if f.name != "augmentation")
"""Settings of training that a proxy dataset records."""
RECORDED_SINCE = {name: getattr(Training(), name) for name in ("updates", "optimiser", "restart", "warmup", "cosine")}
"""What older proxy datasets do not record, as they were trained on."""


@dataclass(frozen=True)
class ProxyDataset:
    """What stands for a dataset while a space is searched.

    Attributes:
        summaries: one per seed; a score is the mean over them.
        space: label of the space that it was made for.
        protocol: how candidates are trained on it, without augmentation.
        score: what they are ranked by, of `SCORES`.
        evidence: the JSON of `Ranking` on a sample of the space: this proxy, and random examples at
            equal cost.
        full: how a search trains on the full data what it has found, unless told otherwise.
        made_for: ``space``: what its architectures depend on; ``data``: the fingerprint of the data
            without its validation split. Empty: not recorded.
    """

    summaries: tuple[DataSummary, ...]
    space: str
    protocol: Protocol = PROXY
    score: str = "accuracy"
    evidence: Mapping[str, Any] = field(default_factory=dict)
    full: Protocol = FULL
    made_for: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise UnknownNameError("score", self.score, SCORES)
        for protocol in (self.protocol, self.full):
            if not isinstance(protocol.training.augmentation, NoAugmentation):
                raise SettingsError(f"a proxy dataset records schedules without augmentation: {protocol.name} has one")
        if self.made_for and set(self.made_for) != {"space", "data"}:
            raise SettingsError(f"made_for has the keys space and data, not {', '.join(self.made_for)}")

    def evaluator(self, target: TargetData, **settings: Any) -> ProxyEvaluator:
        """Return the evaluator of a search.

        It tests on a validation split, carved as it was for the evidence.

        Raises:
            InputDataError: the proxy was made of other data.
        """
        target = with_validation(target)
        if self.made_for and self.made_for["data"] != target.fingerprint():
            raise InputDataError(
                f"this proxy was made of other data than {target.name}, or of another split or normalisation of it: load the data as it was then"
            )
        return ProxyEvaluator(self.summaries, target, self.protocol, self.score, **settings)

    def save(self, directory: str | Path) -> Path:
        """Write the summaries, ``proxy.json``, and a card ``README.md``.

        Raises:
            OutputExistsError: the directory holds one already.
        """
        directory = Path(directory)
        _require_new(directory)
        for index, summary in enumerate(self.summaries):
            summary.save(directory / f"summary-{index}", overwrite=True)
        facts = {
            "format": FORMAT,
            "space": self.space,
            "protocol": _protocol_json(self.protocol),
            "full": _protocol_json(self.full),
            "score": self.score,
            "made_for": dict(self.made_for),
            "sha256": [summary.sha256() for summary in self.summaries],
            "evidence": dict(self.evidence),
        }
        write_atomically(directory / CARD, self.card().encode())
        write_atomically(directory / FILE, json.dumps(facts, indent=1).encode())
        return directory

    @classmethod
    def load(cls, directory: str | Path) -> ProxyDataset:
        """Read what `save` wrote.

        Raises:
            SummaryFormatError: it is damaged, or of a later version.
        """
        directory = Path(directory)
        try:
            facts = read_json(directory / FILE, MAX_JSON)
            version = facts["format"]
            protocol, full = _protocol(facts["protocol"]), _protocol(facts["full"])
            hashes, space, score = list(facts["sha256"]), str(facts["space"]), str(facts["score"])
            evidence, made_for = dict(facts["evidence"]), dict(facts["made_for"])
        except (DistillationError, KeyError, TypeError, ValueError) as error:
            raise SummaryFormatError(f"{directory / FILE} is damaged, or of another version: {error}") from error
        if version != FORMAT:
            raise SummaryFormatError(f"{directory} is of format {version!r}, this version reads {FORMAT}")
        summaries = tuple(DataSummary.load(directory / f"summary-{index}") for index in range(len(hashes)))
        if [summary.sha256() for summary in summaries] != hashes or not summaries:
            raise SummaryFormatError(f"{directory} does not hold the summaries that its {FILE} names")
        try:
            return cls(summaries, space, protocol, score, evidence, full, made_for)
        except (SettingsError, UnknownNameError) as error:
            raise SummaryFormatError(f"{directory / FILE}: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """Return the evidence."""
        return dict(self.evidence)

    def __str__(self) -> str:
        return self.card()

    def card(self) -> str:
        """Return what it is, and how far its ranking can be trusted, in Markdown."""
        first = self.summaries[0]
        method = first.record.get("method", {}).get("name", "custom")
        one = len(self.summaries) == 1
        trained = "A candidate is trained on it" if one else "A candidate is trained on each"
        score = "its score is the one on it" if one else "its score is the mean over them"
        lines = [
            f"# {method} proxy of {first.record.get('data', 'a dataset')} for the space `{self.space}`",
            "",
            f"{counted(len(self.summaries), 'summary', 'summaries')} of {counted(first.ipc, 'example')} per class. {trained} for "
            f"{counted(self.protocol.training.epochs, 'epoch')}; {score}, by `{self.score}`.",
            "",
        ]
        truth = self.evidence.get("truth")
        if truth:
            lines += [
                f"Kendall's tau with accuracies after full training, on {truth['n']} architectures of the space "
                f"(ceiling: {_cell(truth['ceiling_tau'], 'unknown, of one full training')}). A score is chosen by the first column, of the validation split; "
                "the others are of the test split:",
                "",
                "| proxy | tau to choose by | tau | 95 % | regret at 1 | seconds each | speed-up |",
                "|---|---|---|---|---|---|---|",
            ]
            lines += [
                f"| {row['name']} | {(row.get('validation') or {}).get('tau', 'unknown')} | {row['tau']} | "
                f"{_interval(row['tau_ci95'])} | {_cell(row['regret_at_1'])} | "
                f"{row['seconds_per_candidate']} | {_cell(row['speedup'])} |"
                for row in self.evidence["proxies"]
            ]
            lines += ["", *(f"Warning: {warning}." for warning in self.evidence.get("warnings", ()))]
        for what, left in (("No row", "unranked"), ("Left out", "failed")):
            lines += ["", *(f"{what}: {name}: {reason}" for name, reason in self.evidence.get(left, {}).items())]
        seconds = sum(float(summary.record.get("seconds") or 0) for summary in self.summaries)
        lines += ["", f"Distilling it took {seconds:.0f} seconds."]
        return "\n".join([*lines, "", "`ddapps nas search DATA --space SPACE --proxy` this directory uses it.", ""])


def _cell(value: object, otherwise: str = UNDEFINED) -> str:
    return otherwise if value is None else str(value)


def _interval(ends: Sequence[object]) -> str:
    return UNDEFINED if None in ends else f"{ends[0]} to {ends[1]}"


def _protocol_json(protocol: Protocol) -> dict[str, Any]:
    return {"name": protocol.name, **{name: dd.describe(getattr(protocol.training, name)) for name in SCHEDULE}}


def _protocol(facts: Mapping[str, Any]) -> Protocol:
    training, facts = Training(), {**RECORDED_SINCE, **facts}
    facts["updates"] = {int(examples): updates for examples, updates in dict(facts["updates"]).items()}
    for name in SCHEDULE:
        training = override(training, name, facts[name])
    return Protocol(str(facts["name"]), training)


def _require_new(directory: Path) -> None:
    """Raise `OutputExistsError` if what is written would replace something."""
    for name in (FILE, CARD, "summary-0"):
        if (directory / name).exists():
            raise OutputExistsError(f"{directory} holds {name} already: choose another directory")


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
        method: a method's name; a selection rule uses no networks.
        ipc: examples per class.
        pool: how many architectures of the space take turns during distillation.
        score: what candidates are ranked by, of `SCORES`. None: that of `CHOICE` whose ranking
            agrees best with accuracies of full training on the validation split. The evidence is
            about the test split.
        seeds: summaries.
        seed: the first of them.
        sample: architectures that the evidence is about; each is trained on the full data,
            ``seeds`` times.
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
    _require_new(directory)
    require_counts(sample=sample, seeds=seeds, pool=pool)
    as_png(directory / "scatter.png")  # drawn last: matplotlib is asked for first
    target = with_validation(target)
    selects = dd.methods.build_method(method, ipc=ipc, preset="cpu").matching is None
    scores = CHOICE if score is None else (score,)
    proxies = [
        SummaryProxy(method=method, ipc=ipc, pool=0 if selects else pool, score=by, averaged=True) for by in scores
    ]
    random = [SummaryProxy(method="random", ipc=ipc, score=by, averaged=True) for by in scores]
    bench = Bench(target, space, "", steps, directory / "work", str(resolve_device(device)), progress)
    found = rank(
        target,
        space,
        list(dict.fromkeys([*proxies, *random])),
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
    by_name = {proxy.name: proxy for proxy in proxies}
    best = found.best(by_name)
    if score is None and best is None:
        raise InputDataError(f"no score ranks these architectures: {'; '.join(found.unranked.values())}")
    proxy = proxies[0] if best is None else by_name[best.name]
    summaries = tuple(proxy.data(bench, number) for number in range(seed, seed + seeds))
    made_for = {"space": described(space), "data": target.fingerprint()}
    made = ProxyDataset(
        summaries, space_label(space), protocol, proxy.score, found.to_json(), full, json.loads(json.dumps(made_for))
    )
    made.save(directory)
    plot(found, directory)
    return made


def open_proxy(directory: str | Path, space: object = None) -> ProxyDataset:
    """Return the proxy dataset in a directory, or the one that a plain summary there makes.

    Args:
        directory: where it is.
        space: the one that is to be searched, in any form that `as_space` takes. None: any.

    Raises:
        SettingsError: it was made for another space, so its evidence is not about this one.
        SummaryFormatError: it is damaged.
    """
    directory, space = Path(directory), None if space is None else as_space(space)
    if not (directory / FILE).exists():
        return ProxyDataset((DataSummary.load(directory),), "" if space is None else space_label(space))
    made = ProxyDataset.load(directory)
    if space is None:
        return made
    if made.made_for and made.made_for["space"] != json.loads(json.dumps(described(space))):
        raise SettingsError(
            f"{directory} was made for the space {made.space} as it was then, and its evidence is about that one, not about "
            f"{space_label(space)}: name that space, or make a proxy for this one"
        )
    return made
