"""How a client distils its data and sends the summary."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from flwr.app import ConfigRecord, RecordDict

import ddcore as dd
from ddapps.federated.remembered import Remembered
from ddapps.federated.roles import Client
from ddapps.federated.summary_size import coarser, sized
from ddapps.federated.supplement import supplement_name, supplemented
from ddapps.federated.wire import SUMMARY, Task, pack
from ddcore.parts import NetworkSource

REPLY = "reply"


def _unchanged(method: dd.Method) -> dd.Method:
    return method


@dataclass(frozen=True)
class Work:
    """What a client distils.

    Attributes:
        source: networks to distil on; None: the method's.
        target: in place of the client's data.
        start: a summary to go on from.
        settle: last changes of the method, once it has its size.
        method: at its size; None: it is sized to what a first summary may hold.
    """

    source: NetworkSource | None = None
    target: dd.TargetData | None = None
    start: dd.DataSummary | None = None
    settle: Callable[[dd.Method], dd.Method] = _unchanged
    method: dd.Method | None = None


def answer(client: Client, task: Task, prepare: Callable[[], Work]) -> RecordDict:
    """Return the reply with a summary of a client's data.

    It is distilled now. Where the same was asked before, it is what was given then.

    Args:
        client: at work.
        task: that it answers.
        prepare: returns what there is to distil; it is not called where the reply is remembered.
    """
    memory, wanted = Remembered(client), _digest(client, task)
    name = supplement_name(task.round) if task.asked else REPLY
    given = memory.get(name)
    if given is None or given["task"] != wanted:
        work = _supplement(client, task, prepare(), memory) if task.asked else prepare()
        made = _made(client, task, work).config_records[SUMMARY]
        given = ConfigRecord({**made, "task": wanted})
        memory.put(name, given)
    sent = {name: value for name, value in given.items() if name != "task"}
    return RecordDict({SUMMARY: ConfigRecord({**sent, "round": task.round, "nonce": task.nonce})})


def _digest(client: Client, task: Task) -> str:
    """Return what tells a task from others that would be answered differently.

    These are the settings that clients follow and the data. Where more than one answer is given,
    they are also the round and what came with it. What a private client has given it gives again,
    whatever has become of its data: that tells nothing new.
    """
    settings = client.settings
    data = "" if settings.private else client.target.fingerprint()
    digest = hashlib.sha256(json.dumps([settings.of_clients(), data], sort_keys=True).encode())
    if task.asked:
        digest.update(json.dumps([task.round, list(task.asked.items())]).encode())
    if not settings.one_answer:
        digest.update(str(task.round).encode())
        for name, weight in (task.weights or {}).items():
            digest.update(name.encode() + weight.numpy().tobytes())
        for piece in task.knowledge or ():
            digest.update(piece if isinstance(piece, bytes) else piece.encode())
    return digest.hexdigest()


def _supplement(client: Client, task: Task, work: Work, memory: Remembered) -> Work:
    """Return the work on the classes that a task asks for again."""
    names = [REPLY, *map(supplement_name, range(2, task.round))]
    sent = [given for name in names if (given := memory.get(name)) is not None]
    target, method = supplemented(client, task.asked, work.source, sent)
    return replace(work, target=target, method=method)


def _made(client: Client, task: Task, work: Work) -> RecordDict:
    settings, target = client.settings, work.target or client.target
    if settings.private:
        from ddapps.federated.private import private_answer

        return private_answer(client, task, work.source)
    summary = dd.distill(
        target,
        work.settle(work.method or sized(client, target, work.source)),
        seed=client.seed(task.round, again=bool(task.asked)),
        device=settings.device,
        max_seconds=settings.max_seconds or None,
        start=work.start,
    )
    counts = client.counts()
    if task.asked:
        counts = {class_id: counts[class_id] for class_id in target.spec.classes}
    return pack(
        coarser(summary, settings.levels),
        task,
        client.name,
        client.target.spec,
        counts=counts,
        num_examples=sum(counts.values()),
        timed=settings.max_seconds > 0,
    )
