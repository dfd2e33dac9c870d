"""A union, distilled once more on the server."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from flwr.app import Message

import ddcore as dd
from ddapps.federated import InProcessGrid, Outcome, ServerData, client_app, redistil, simulate
from ddapps.federated.redistil import as_target, sent_down
from ddapps.federated.traffic import message_bytes
from ddcore.errors import BudgetError, SettingsError, UnsupportedError
from tests.federated.conftest import quick

SETTINGS = quick(method="random", ipc=6, epochs=30)


@pytest.fixture(scope="module")
def outcome(parts: list[dd.TargetData], data: ServerData) -> Outcome:
    return simulate(SETTINGS, parts, data)


def rows(summary: dd.DataSummary) -> set[tuple[int, ...]]:
    return {tuple(row) for row in (summary.to_pixels().flatten(1) * 255).round().long().tolist()}


def test_what_is_selected_again_is_of_the_union_with_its_classes(outcome: Outcome, data: ServerData) -> None:
    assert outcome.union is not None
    found = redistil(outcome.union, dd.methods.random(ipc=2), SETTINGS, data)
    assert rows(found.summary) <= rows(outcome.union)
    assert found.summary.counts == dict.fromkeys(outcome.union.counts, 2)
    owner = {
        tuple(row): int(label)
        for row, label in zip(
            (outcome.union.to_pixels().flatten(1) * 255).round().long().tolist(),
            outcome.union.tensors()[1],
            strict=True,
        )
    }
    for row, label in zip(
        (found.summary.to_pixels().flatten(1) * 255).round().long().tolist(), found.summary.tensors()[1], strict=True
    ):
        assert owner[tuple(row)] == int(label)


def test_all_of_the_union_selected_again_is_nearly_as_good_as_the_union_and_less_is_worse(
    outcome: Outcome, data: ServerData, parts: list[dd.TargetData]
) -> None:
    """Draws differ, so that accuracies are equal up to their noise."""
    assert outcome.union is not None
    longer = replace(SETTINGS, epochs=400)
    every, few = (
        redistil(outcome.union, dd.methods.random(ipc=ipc), longer, data) for ipc in (dict(outcome.union.counts), 1)
    )
    assert rows(every.summary) == rows(outcome.union)
    assert every.accuracy == pytest.approx(simulate(longer, parts, data).accuracy, abs=10)
    assert every.accuracy > 60 > few.accuracy + 10


def test_bytes_bound_what_is_stored_and_the_messages_are_those_that_flower_sends(
    outcome: Outcome, data: ServerData, parts: list[dd.TargetData]
) -> None:
    assert outcome.union is not None
    found = redistil(outcome.union, "dm", replace(SETTINGS, max_seconds=0.3, steps=10**6), data, nbytes="2kB")
    assert 1280 < found.summary.stored_bytes <= 2000
    assert found.summary.record["steps"] > 0 and found.seconds >= 0.3
    grid = InProcessGrid(client_app(lambda _: parts[0]), 1)
    message = sent_down(found.summary)
    sent = Message(message.content, dst_node_id=1, message_type="train")
    assert found.bytes_down == message_bytes(sent) < outcome.bytes_up
    arrived = grid._through_the_wire(sent)
    assert arrived.content.config_records["summary"]["tensors"] == message.content.config_records["summary"]["tensors"]
    assert found.to_json()["bytes_down"] == found.bytes_down
    with pytest.raises(BudgetError):
        redistil(outcome.union, "dm", SETTINGS, data, nbytes=100)
    with pytest.raises(SettingsError, match="needs nbytes"):
        redistil(outcome.union, "dm", SETTINGS, data)


def test_a_union_as_data_shows_networks_the_same(outcome: Outcome) -> None:
    assert outcome.union is not None
    target, (inputs, targets) = as_target(outcome.union), outcome.union.tensors()
    assert torch.allclose(target.spec.normalisation.apply(target.train.inputs), inputs, atol=1e-5)
    assert torch.equal(target.train.targets, targets) and target.test is None


def test_soft_labels_are_refused(parts: list[dd.TargetData], data: ServerData) -> None:
    outcome = simulate(quick(form="dosfl", ipc=1), parts[:1], data)
    assert outcome.union is not None
    with pytest.raises(UnsupportedError, match="soft labels"):
        redistil(outcome.union, "dm", SETTINGS, data, nbytes="1kB")
