"""What a client answers where it is asked for some classes again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from flwr.app import ConfigRecord

import ddcore as dd
from ddapps.federated.agreement import Agreement, parsed
from ddapps.federated.roles import Client
from ddapps.federated.weakness import asked_limit
from ddcore.engine import start_bytes
from ddcore.errors import BudgetError, InputDataError
from ddcore.parts import NetworkSource, largest_size


def supplement_name(round: int) -> str:
    """Return the name under which a client remembers its supplement of a round."""
    return f"supplement-{round}"


def supplemented(
    client: Client, asked: Mapping[int, float], source: NetworkSource | None, sent: Iterable[ConfigRecord]
) -> tuple[dd.TargetData, dd.Method]:
    """Return the data that a supplement is made of, and the method at its size.

    Real examples that a selection rule has sent are left out, so that none is sent twice.

    Args:
        client: at work.
        asked: shares of classes.
        source: networks to distil on; None: the method's.
        sent: earlier replies of this run.

    Raises:
        InputDataError: nothing of these classes is left.
        BudgetError: their bytes hold no item.
    """
    compression = client.settings.compression
    if source is not None:
        compression = replace(compression, network=source)
    target = client.target
    if compression.suited_to(target.spec).at(1).matching is None:
        target = _without(client, sent)
    target = _of(target, asked)
    limit = asked_limit(client.settings, target.spec, {class_id: asked[class_id] for class_id in target.spec.classes})
    if not isinstance(limit, int):
        return _of(target, limit), compression.within(limit, _of(target, limit))
    items = _items_within(client, target, asked, limit)
    target = _of(target, items)
    method = compression.within(
        {class_id: count * compression.examples_per_item for class_id, count in items.items()}, target
    )
    return target, dd.override(method, "factorization.nbytes", limit) if method.factorization.wraps else method


def _of(target: dd.TargetData, wanted: Iterable[int]) -> dd.TargetData:
    classes = sorted(set(wanted) & {class_id for class_id, count in target.counts().items() if count})
    if not classes:
        raise InputDataError("nothing is left of the classes that are asked for")
    return target.of_classes(classes)


def _items_within(client: Client, target: dd.TargetData, asked: Mapping[int, float], nbytes: int) -> dict[int, int]:
    """Return items of each class, in proportion to its share, that some bytes hold."""
    compression, counts = client.settings.compression.suited_to(target.spec), target.counts()
    largest = max(asked[class_id] for class_id in target.spec.classes)

    def items(most: int) -> dict[int, int]:
        found = {c: min(int(most * asked[c] / largest), counts[c]) for c in target.spec.classes}
        return {class_id: count for class_id, count in found.items() if count}

    def fits(most: int) -> bool:
        method, data = compression.at(items(most)), target.of_classes(list(items(most)))
        # What is compressed has a size that only writing tells.
        return (start_bytes if method.factorization.wraps else _bytes_of)(method, data) <= nbytes

    size = largest_size(fits, max(counts.values()))
    if size == 0:
        raise BudgetError(f"{nbytes} bytes for the classes that are asked for hold no item: give more")
    return items(size)


def _bytes_of(method: dd.Method, target: dd.TargetData) -> int:
    return dd.Budget.of(method, target).bytes


def _without(client: Client, sent: Iterable[ConfigRecord]) -> dd.TargetData:
    """Return a client's data without the examples that it has sent.

    For every example that was sent, the nearest of its class that is still there is taken out: it
    may have been sent smaller, or on fewer levels.
    """
    target, agreement = client.target, Agreement(client.settings, client.target.spec)
    inputs = target.spec.normalisation.apply(target.train.inputs).flatten(1)
    kept = torch.ones(len(target.train), dtype=torch.bool)
    for record in sent:
        tensors, part = record["tensors"], parsed(record["part"])
        assert isinstance(tensors, bytes)
        summary = agreement.summary_of(tensors, part)
        given = summary.tensors()[0].flatten(1)
        for class_id, places in summary.members().items():
            members = (target.class_ids() == class_id).nonzero().flatten()
            for place in places.tolist():
                left = members[kept[members]]
                if len(left):
                    kept[left[(inputs[left] - given[place]).square().sum(dim=1).argmin()]] = False
    if not bool(kept.any()):
        raise InputDataError("nothing is left of the classes that are asked for")
    return target.with_train(kept.nonzero().flatten(), target.name)
