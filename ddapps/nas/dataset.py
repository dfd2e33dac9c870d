"""``ProxyDataset``: summaries for a space, with the evidence of how they rank it, on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import ddcore as dd
from ddapps.nas.card import card
from ddapps.nas.combination import Combination
from ddapps.nas.evaluator import PROXY, ProxyEvaluator, require_score
from ddapps.nas.rank import with_validation
from ddapps.nas.search_space import described
from ddapps.nas.spaces import as_space, space_label
from ddapps.nas.truth import FULL
from ddcore.errors import (
    DistillationError,
    InputDataError,
    OutputExistsError,
    SettingsError,
    SummaryFormatError,
    UnknownNameError,
)
from ddcore.evaluation import Protocol
from ddcore.ground import read_json, write_atomically
from ddcore.parts import NoAugmentation, TargetData
from ddcore.settings import override
from ddcore.summary import DataSummary
from ddcore.training import Training

FORMAT, FILE, CARD, MAX_JSON = 1, "proxy.json", "README.md", 2**22
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
        score: what they are ranked by, of `SCORES`; or ``combined``.
        evidence: the JSON of `Ranking` on a sample of the space: this proxy, random examples and
            free scores. Of ``auto`` it has ``choice``: what was chosen, and why.
        full: how a search trains on the full data what it has found, unless told otherwise.
        combination: what the score ``combined`` is; None: another score.
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
    combination: Combination | None = None

    def __post_init__(self) -> None:
        require_score(self.score, self.combination)
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
        return ProxyEvaluator(
            self.summaries, target, self.protocol, self.score, combination=self.combination, **settings
        )

    def save(self, directory: str | Path) -> Path:
        """Write the summaries, ``proxy.json``, and a card ``README.md``.

        Raises:
            OutputExistsError: the directory holds one already.
        """
        directory = Path(directory)
        require_new(directory)
        for index, summary in enumerate(self.summaries):
            summary.save(directory / f"summary-{index}", overwrite=True)
        facts = {
            "format": FORMAT,
            "space": self.space,
            "protocol": _protocol_json(self.protocol),
            "full": _protocol_json(self.full),
            "score": self.score,
            "combination": None if self.combination is None else self.combination.to_json(),
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
            kept = facts.get("combination")
            combination = None if kept is None else Combination.from_json(kept)
        except (DistillationError, KeyError, TypeError, ValueError) as error:
            raise SummaryFormatError(f"{directory / FILE} is damaged, or of another version: {error}") from error
        if version != FORMAT:
            raise SummaryFormatError(f"{directory} is of format {version!r}, this version reads {FORMAT}")
        summaries = tuple(DataSummary.load(directory / f"summary-{index}") for index in range(len(hashes)))
        if [summary.sha256() for summary in summaries] != hashes or not summaries:
            raise SummaryFormatError(f"{directory} does not hold the summaries that its {FILE} names")
        try:
            return cls(summaries, space, protocol, score, evidence, full, made_for, combination)
        except (SettingsError, UnknownNameError) as error:
            raise SummaryFormatError(f"{directory / FILE}: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """Return the evidence."""
        return dict(self.evidence)

    def __str__(self) -> str:
        return self.card()

    def card(self) -> str:
        """Return what it is, and how far its ranking can be trusted, in Markdown."""
        epochs = self.protocol.training.epochs
        return card(self.summaries, self.space, epochs, self.score, self.evidence, self.combination)


def _protocol_json(protocol: Protocol) -> dict[str, Any]:
    return {"name": protocol.name, **{name: dd.describe(getattr(protocol.training, name)) for name in SCHEDULE}}


def _protocol(facts: Mapping[str, Any]) -> Protocol:
    training, facts = Training(), {**RECORDED_SINCE, **facts}
    facts["updates"] = {int(examples): updates for examples, updates in dict(facts["updates"]).items()}
    for name in SCHEDULE:
        training = override(training, name, facts[name])
    return Protocol(str(facts["name"]), training)


def require_new(directory: Path) -> None:
    """Raise `OutputExistsError` if what is written would replace something."""
    for name in (FILE, CARD, "summary-0"):
        if (directory / name).exists():
            raise OutputExistsError(f"{directory} holds {name} already: choose another directory")


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
