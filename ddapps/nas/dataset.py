"""``make_proxy``: summaries for a space, with the evidence of how they rank it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ddcore as dd
from ddapps.nas.evaluator import PROXY, ProxyEvaluator
from ddapps.nas.plot import plot
from ddapps.nas.proxies import Bench, SummaryProxy
from ddapps.nas.rank import rank, with_validation
from ddapps.nas.spaces import as_space, described, space_label
from ddapps.nas.truth import FULL
from ddapps.pictures import as_png
from ddcore import DataSummary, TargetData
from ddcore.augmentation import NoAugmentation
from ddcore.engine import resolve_device
from ddcore.errors import DistillationError, InputDataError, OutputExistsError, SettingsError, SummaryFormatError
from ddcore.evaluation import Protocol, as_protocol
from ddcore.settings import override, require_counts
from ddcore.tensorfile import read_json, write_atomically
from ddcore.training import Training

FORMAT, FILE, MAX_JSON = 1, "proxy.json", 2**22
SCHEDULE = ("epochs", "learning_rate", "momentum", "weight_decay", "batch_size", "drop_at", "drop")
"""Settings of training that a proxy dataset records."""


@dataclass(frozen=True)
class ProxyDataset:
    """What stands for a dataset while a space is searched.

    Attributes:
        summaries: one per seed; a score is the mean over them.
        space: label of the space that it was made for.
        protocol: how candidates are trained on it, without augmentation.
        evidence: the JSON of `Ranking` on a sample of the space: this proxy, and random examples at equal cost.
        made_for: what the space's architectures depend on, and the fingerprint of the data without its validation split; empty: not recorded.
    """

    summaries: tuple[DataSummary, ...]
    space: str
    protocol: Protocol = PROXY
    evidence: Mapping[str, Any] = field(default_factory=dict)
    made_for: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.protocol.training.augmentation, NoAugmentation):
            raise SettingsError("a proxy dataset records a schedule without augmentation: use a protocol that has none")

    def evaluator(self, target: TargetData, **settings: Any) -> ProxyEvaluator:
        """Return the evaluator of a search; it tests on a validation split, carved as it was for the evidence.

        Raises:
            InputDataError: the proxy was made of other data.
        """
        target = with_validation(target)
        if self.made_for and self.made_for["data"] != target.fingerprint():
            raise InputDataError(
                f"this proxy was made of other data than {target.name}, or of another split or normalisation of it: load the data as it was then"
            )
        return ProxyEvaluator(self.summaries, target, self.protocol, **settings)

    def save(self, directory: str | Path) -> Path:
        """Write the summaries, ``proxy.json``, and a card ``README.md``.

        Raises:
            OutputExistsError: the directory holds one already.
        """
        directory = Path(directory)
        if (directory / FILE).exists():
            raise OutputExistsError(f"{directory} holds a proxy dataset already: choose another directory")
        for index, summary in enumerate(self.summaries):
            summary.save(directory / f"summary-{index}", overwrite=True)
        facts = {
            "format": FORMAT,
            "space": self.space,
            "protocol": {
                "name": self.protocol.name,
                **{name: getattr(self.protocol.training, name) for name in SCHEDULE},
            },
            "made_for": dict(self.made_for),
            "sha256": [summary.sha256() for summary in self.summaries],
            "evidence": dict(self.evidence),
        }
        write_atomically(directory / "README.md", self.card().encode())
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
            if facts["format"] != FORMAT:
                raise SummaryFormatError(f"{directory} is of format {facts['format']!r}, this version reads {FORMAT}")
            protocol = dict(facts["protocol"])
            name, training = str(protocol.pop("name")), Training()
            for key in SCHEDULE:
                training = override(training, key, protocol[key])
            hashes, space = list(facts["sha256"]), str(facts["space"])
            evidence, made_for = dict(facts["evidence"]), dict(facts["made_for"])
        except (DistillationError, KeyError, TypeError, ValueError) as error:
            raise SummaryFormatError(f"{directory / FILE} is damaged: {error}") from error
        summaries = tuple(DataSummary.load(directory / f"summary-{index}") for index in range(len(hashes)))
        if [summary.sha256() for summary in summaries] != hashes or not summaries:
            raise SummaryFormatError(f"{directory} does not hold the summaries that its {FILE} names")
        return cls(summaries, space, Protocol(name, training), evidence, made_for)

    def to_json(self) -> dict[str, Any]:
        """Return the evidence."""
        return dict(self.evidence)

    def __str__(self) -> str:
        return self.card()

    def card(self) -> str:
        """Return what it is, and how far its ranking can be trusted, in Markdown."""
        first = self.summaries[0]
        method = first.record.get("method", {}).get("name", "custom")
        lines = [
            f"# {method} proxy of {first.record.get('data', 'a dataset')} for the space `{self.space}`",
            "",
            f"{len(self.summaries)} summaries of {first.ipc} examples per class. A candidate is trained on each for "
            f"{self.protocol.training.epochs} epochs; its score is the mean accuracy on a validation split.",
            "",
        ]
        truth = self.evidence.get("truth")
        if truth:
            lines += [
                f"Kendall's tau with accuracies after full training, on {truth['n']} architectures of the space "
                f"(ceiling: {truth['ceiling_tau']}):",
                "",
                "| proxy | tau | 95 % | regret at 1 | seconds each | speed-up |",
                "|---|---|---|---|---|---|",
            ]
            lines += [
                f"| {row['name']} | {row['tau']} | {row['tau_ci95'][0]} to {row['tau_ci95'][1]} | {row['regret_at_1']} | "
                f"{row['seconds_per_candidate']} | {row['speedup']} |"
                for row in self.evidence["proxies"]
            ]
        for what, left in (("No row", "unranked"), ("Left out", "failed")):
            lines += ["", *(f"{what}: {name}: {reason}" for name, reason in self.evidence.get(left, {}).items())]
        seconds = sum(float(summary.record.get("seconds") or 0) for summary in self.summaries)
        lines += ["", f"Distilling it took {seconds:.0f} seconds."]
        return "\n".join([*lines, "", "`ddapps nas search DATA --space SPACE --proxy` this directory uses it.", ""])


def make_proxy(
    target: TargetData,
    space: object,
    method: str = "dm",
    *,
    ipc: int = 10,
    pool: int = 20,
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
    """Distil a proxy dataset for a space, measure how it ranks a sample of the space, and write both.

    Args:
        target: the data.
        space: in any form that `as_space` takes.
        method: a method's name; a selection rule uses no networks.
        ipc: examples per class.
        pool: how many architectures of the space take turns during distillation.
        seeds: summaries.
        seed: the first of them.
        sample: architectures that the evidence is about; each is trained on the full data, ``seeds`` times.
        protocol: of training on the proxy.
        full: of training on the full data.
        steps: of distillation, instead of the preset's.
        device: ``auto``, ``cpu``, ``cuda``, ...
        workers: processes, see `Workers`.
        directory: where it is written; what was finished there before is taken up.
        progress: called with a line of text when a training is done.

    Raises:
        OutputExistsError: the directory holds a proxy dataset already.
    """
    directory, space, protocol = Path(directory), as_space(space), as_protocol(protocol)
    if (directory / FILE).exists():
        raise OutputExistsError(f"{directory} holds a proxy dataset already: choose another directory")
    require_counts(sample=sample, seeds=seeds, pool=pool)
    as_png(directory / "scatter.png")  # drawn last: matplotlib is asked for first
    target = with_validation(target)
    selects = dd.methods.build_method(method, ipc=ipc, preset="cpu").matching is None
    proxy = SummaryProxy(method=method, ipc=ipc, pool=0 if selects else pool, averaged=True)
    random = SummaryProxy(method="random", ipc=ipc, averaged=True)
    bench = Bench(target, space, "", steps, directory / "work", str(resolve_device(device)), progress)
    summaries = tuple(proxy.data(bench, number) for number in range(seed, seed + seeds))
    found = rank(
        target,
        space,
        [proxy] if proxy == random else [proxy, random],
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
    made_for = {"space": described(space), "data": target.fingerprint()}
    made = ProxyDataset(summaries, space_label(space), protocol, found.to_json(), json.loads(json.dumps(made_for)))
    made.save(directory)
    plot(found, directory)
    return made


def open_proxy(directory: str | Path, space: object) -> ProxyDataset:
    """Return the proxy dataset in a directory, or the one that a plain summary there makes.

    Raises:
        SettingsError: it was made for another space, so its evidence is not about this one.
        SummaryFormatError: it is damaged.
    """
    directory, space = Path(directory), as_space(space)
    if not (directory / FILE).exists():
        return ProxyDataset((DataSummary.load(directory),), space_label(space))
    made = ProxyDataset.load(directory)
    if made.made_for.get("space") != json.loads(json.dumps(described(space))):
        raise SettingsError(
            f"{directory} was made for the space {made.space} as it was then, and its evidence is about that one, not about "
            f"{space_label(space)}: name that space, or make a proxy for this one"
        )
    return made
