"""How a client distils its data and sends the summary."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flwr.app import RecordDict

import ddcore as dd
from ddapps.federated.forms.base import Client
from ddapps.federated.wire import pack
from ddcore.networks import NetworkSource

if TYPE_CHECKING:
    from ddapps.federated.wire import Task


def answer(
    client: Client,
    task: Task,
    source: NetworkSource | None = None,
    *,
    target: dd.TargetData | None = None,
    start: dd.DataSummary | None = None,
) -> RecordDict:
    """Distil a client's data and return the reply.

    Args:
        client: at work.
        task: that it answers.
        source: networks to distil on, in place of the method's.
        target: what is distilled, in place of the client's data.
        start: a summary to go on from.
    """
    settings = client.settings
    if settings.private:
        from ddapps.federated.private import private_answer

        return private_answer(client, task, source)
    method = sized(client, target or client.target, source)
    summary = dd.distill(
        target or client.target,
        method,
        seed=client.seed(task.round),
        device=settings.device,
        max_seconds=settings.max_seconds or None,
        start=start,
    )
    counts = client.counts()
    return pack(summary, task, client.name, client.target.spec, counts=counts, num_examples=sum(counts.values()))


def sized(client: Client, target: dd.TargetData, source: NetworkSource | None) -> dd.Method:
    """Return the method at the size that this client may send."""
    compression = client.settings.compression
    if source is not None:
        compression = replace(compression, network=source)
    return compression.within(client.settings.limit(target.spec), target)
