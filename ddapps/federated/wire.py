"""What travels: a task to a client, and a summary back, as records of a Flower message."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from flwr.app import ConfigRecord, RecordDict

import ddcore as dd
from ddapps.federated.squeezing import squeeze
from ddapps.federated.transport import arrays_of, encoded
from ddcore.errors import NoReplyError, SummaryFormatError
from ddcore.ground import counted, pack_tensors
from ddcore.summary import DataSummary, Part

TASK, SUMMARY, WEIGHTS, KNOWLEDGE = "task", "summary", "arrays", "knowledge"
REFUSAL = "refusal"
MOST_REASONS = 5
"""Different reasons that the error of a run without any reply tells of."""
REFUSED = "the client gives nothing: its privacy budget is spent, or its private distillation has failed; its own log says which"


@dataclass(frozen=True)
class Task:
    """What a client is asked.

    Attributes:
        round: from 1.
        nonce: of this client in this round; its reply repeats it.
        weights: of the global model, by name; None where the form does not send it.
        knowledge: another client's last summary, where the form sends it.
        transport: of weights, see `ddapps.federated.transport`.
        method: that the server names, where the settings leave it to the server.
        asked: shares of the classes of a supplement; empty: the first summary is asked for.
    """

    round: int
    nonce: str
    weights: Mapping[str, torch.Tensor] | None = None
    knowledge: tuple[bytes, str] | None = None
    transport: str = "float32"
    method: str = ""
    asked: Mapping[int, float] = field(default_factory=dict)

    def to_content(self) -> RecordDict:
        """Return the content of a message."""
        content = RecordDict({TASK: ConfigRecord({"round": self.round, "nonce": self.nonce})})
        if self.method:
            content.config_records[TASK]["method"] = self.method
        if self.asked:
            content[TASK] = ConfigRecord(
                {**content.config_records[TASK], "classes": list(self.asked), "shares": list(self.asked.values())}
            )
        if self.weights is not None:
            content[WEIGHTS] = encoded(self.weights, self.transport)
        if self.knowledge is not None:
            content[KNOWLEDGE] = ConfigRecord({"tensors": self.knowledge[0], "part": self.knowledge[1]})
        return content

    @classmethod
    def of(cls, content: RecordDict) -> Task:
        """Read what `to_content` wrote."""
        if TASK not in content.config_records:
            raise SummaryFormatError("the message asks for no summary: its server does not speak this form")
        task, knowledge = content.config_records[TASK], content.config_records.get(KNOWLEDGE)
        weights = content.get(WEIGHTS)
        return cls(
            int(task["round"]),  # type: ignore[arg-type]
            str(task["nonce"]),
            None if weights is None else arrays_of(weights),  # type: ignore[arg-type]
            None if knowledge is None else (bytes(knowledge["tensors"]), str(knowledge["part"])),  # type: ignore[arg-type]
            method=str(task.get("method", "")),
            asked=dict(zip(task.get("classes", []), task.get("shares", []), strict=True)),  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class Contribution:
    """A summary that a client has sent.

    Attributes:
        client: its own name for itself, which outlives its connection.
        node: the connection.
        round: that it answers.
        summary: whatever passed the checks.
        counts: real examples per class that it says it has; empty where it does not say.
        num_examples: that it says it has; 0 where it does not say.
        supplement: whether it is added to the client's first summary.
        seconds, steps: of its distillation, as the client says; None where there is no time limit.
    """

    client: str
    node: int
    round: int
    summary: DataSummary
    counts: Mapping[int, int]
    num_examples: int
    supplement: bool = False
    seconds: float | None = None
    steps: int | None = None


@dataclass(frozen=True)
class Rejection:
    """A reply that did not count.

    Attributes:
        round: in which it came.
        node: the connection that it came from.
        reason: why.
    """

    round: int
    node: int
    reason: str


def nothing_came(rejections: Sequence[Rejection], rounds: int) -> NoReplyError:
    """Return the error that ends a run in which no reply has counted: the reasons, and of whom."""
    nodes: dict[str, set[int]] = {}
    for rejection in rejections:
        nodes.setdefault(rejection.reason, set()).add(rejection.node)
    commonest = sorted(nodes.items(), key=lambda given: -len(given[1]))[:MOST_REASONS]
    told = [f"{counted(len(which), 'client')}: {reason}" for reason, which in commonest]
    more = [f"{len(nodes) - MOST_REASONS} more reasons"] if len(nodes) > MOST_REASONS else []
    why = (
        "; ".join(told + more) or "no client has answered in time: look whether clients are connected, or raise timeout"
    )
    return NoReplyError(f"no reply has counted in {counted(rounds, 'round')}, so there is no global model. {why}")


def facts_of(spec: dd.Spec) -> str:
    """Return a hash of what client and server must agree on about the data."""
    facts = (spec.shape, spec.num_classes, spec.normalisation.describe())
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def pack(
    summary: DataSummary,
    task: Task,
    client: str,
    spec: dd.Spec,
    *,
    counts: Mapping[int, int],
    num_examples: int,
    timed: bool = False,
) -> RecordDict:
    """Return the reply that carries a summary.

    If ``timed``, it also says how long that took, in how many steps.
    """
    (part,) = summary.parts
    record: dict[str, Any] = {
        "round": task.round,
        "nonce": task.nonce,
        "client": client,
        "facts": facts_of(spec),
        "tensors": squeezed(part),
        "part": part_text(part),
        "recipe": json.dumps(summary.recipe.to_json()),
        "num-examples": num_examples,
    }
    if counts:
        record["counts"] = [counts.get(class_id, 0) for class_id in range(spec.num_classes)]
    if timed:
        record |= {"seconds": float(summary.record["seconds"]), "steps": int(summary.record["steps"])}
    if "privacy" in summary.record:
        kept = {name: summary.record[name] for name in ("privacy", "steps") if name in summary.record}
        record["record"] = json.dumps(kept)
    return RecordDict({SUMMARY: ConfigRecord(record)})


def squeezed(part: Part) -> bytes:
    """Return what a part stores as bytes, losslessly compressed (zlib)."""
    return squeeze(pack_tensors(part.stored))


def refusal() -> RecordDict:
    """Return the reply of a private client that gives nothing, whatever the reason."""
    return RecordDict({REFUSAL: ConfigRecord({"refused": True})})


def part_text(part: Part) -> str:
    """Return the settings that decode a part, as text."""
    return json.dumps({"name": part.factorization.name, **part.factorization.decoder()})
