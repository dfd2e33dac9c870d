"""The union distilled once more, on the server: one small summary to send down."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import Any

from flwr.app import ConfigRecord, Message, MessageType, RecordDict

import ddcore as dd
from ddapps.federated.global_model import initial_network
from ddapps.federated.server_data import ServerData
from ddapps.federated.terms import Terms
from ddapps.federated.traffic import message_bytes
from ddapps.federated.union import trained_on
from ddapps.federated.wire import SUMMARY, part_text, squeezed
from ddapps.sizing import Compression
from ddcore.errors import UnsupportedError
from ddcore.evaluation import predict
from ddcore.ground import generator, resolve_device
from ddcore.parts import Split, accuracy
from ddcore.settings import require
from ddcore.summary import DataSummary


@dataclass(frozen=True, eq=False)
class Redistilled:
    """A union in few bytes.

    Attributes:
        summary: made of the union alone.
        bytes_down: of the message that carries it to one client.
        accuracy: in percent, on the server's test data, of the run's network trained on it.
        seconds: that distillation took.
    """

    summary: DataSummary
    bytes_down: int
    accuracy: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return plain data: bytes stored and sent, accuracy, seconds, the method."""
        return {
            "stored_bytes": self.summary.stored_bytes,
            "bytes_down": self.bytes_down,
            "accuracy": self.accuracy,
            "seconds": round(self.seconds, 2),
            "method": self.summary.record["method"],
        }


def redistil(
    union: DataSummary,
    method: dd.Method | str,
    settings: Terms,
    data: ServerData,
    *,
    nbytes: int | str | None = None,
) -> Redistilled:
    """Distil a union once more. Of real data only the test split is read, for the accuracy.

    Examples count alike: weights by clients' sizes are not looked at. Private unions stay private,
    since this reads nothing but them.

    Args:
        union: of all clients' summaries (`ddapps.federated.Outcome.union`).
        method: of this distillation; or its name, where ``nbytes`` say its size.
        settings: of the run: seed, device, time limit, how to train; of a method that is sized to
            ``nbytes`` also preset, storage, network and steps, as of clients.
        data: of the server.
        nbytes: that the summary may store, such as ``"2kB"``: the largest size within them. None:
            as the method says.

    Raises:
        UnsupportedError: the union has soft labels, or labels by a teacher.
        SettingsError: a name without ``nbytes``.
        BudgetError: the bytes do not hold one item per class.
    """
    require(nbytes is not None or isinstance(method, dd.Method), "a method by its name needs nbytes, such as '2kB'")
    target, started = as_target(union), time.monotonic()
    if nbytes is not None:
        compression = Compression(method, settings.preset, settings.storage, settings.network, settings.steps or None)
        method = compression.within(dd.Budget.parse(str(nbytes)).bytes, target)
    summary = dd.distill(
        target, method, seed=settings.seed, device=settings.device, max_seconds=settings.max_seconds or None
    )
    seconds = time.monotonic() - started
    network, random = initial_network(settings, data.spec), generator(settings.seed, "redistilled")
    trained_on(summary, network, settings, random)
    logits = predict(network, data.test, data.spec, resolve_device(settings.device))
    return Redistilled(summary, message_bytes(sent_down(summary)), accuracy(logits, data.test.targets), seconds)


def as_target(union: DataSummary) -> dd.TargetData:
    """Return a union's examples as data that can be distilled again.

    Raises:
        UnsupportedError: its examples have other targets than class ids.
    """
    inputs, targets = union.tensors()
    if targets.ndim != 1 or union.labels is not None:
        raise UnsupportedError("a union with soft labels cannot be distilled again: choose a method with class ids")
    spec = replace(union.spec, classes=tuple(sorted(set(targets.tolist()))))
    return dd.TargetData("union", spec, Split(union.denormalise(inputs), targets))


def sent_down(summary: DataSummary) -> Message:
    """Return the message that carries a summary to a client, losslessly compressed."""
    (part,) = summary.parts
    record: dict[str, Any] = {
        "tensors": squeezed(part),
        "part": part_text(part),
        "recipe": json.dumps(summary.recipe.to_json()),
    }
    return Message(RecordDict({SUMMARY: ConfigRecord(record)}), dst_node_id=1, message_type=MessageType.TRAIN)
