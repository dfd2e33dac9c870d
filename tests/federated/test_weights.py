"""Weights as they travel: what the transports keep, and what of strangers' weights is refused."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict

import ddcore as dd
from ddapps.federated import InProcessGrid, ServerData, client_app, run_server, simulate
from ddapps.federated.forms.weights import weights_in
from ddapps.federated.global_model import initial_network
from ddapps.federated.traffic import message_bytes
from ddapps.federated.transport import arrays_of, decoded, encoded
from ddcore.errors import InputDataError, NoReplyError, SettingsError, SummaryFormatError
from tests.federated.conftest import quick

SETTINGS = quick(form="fedavg", local_epochs=1, transport="uint8", min_clients=2)
WEIGHTS = {"a": torch.randn(30, 4), "b": torch.tensor([2.0]), "c": torch.zeros(2, 2), "n": torch.tensor(7)}


def test_weights_in_bytes_are_off_by_half_a_level_at_most() -> None:
    back = decoded(arrays_of(encoded(WEIGHTS, "uint8")), WEIGHTS)
    for name, weight in WEIGHTS.items():
        level = float(weight.max() - weight.min()) / 255
        assert float((back[name] - weight).abs().max()) <= level / 2 + 1e-6


@pytest.mark.parametrize("transport", ["float32", "packed"])
def test_numbers_in_float32_come_back_exactly(transport: str) -> None:
    back = decoded(arrays_of(encoded(WEIGHTS, transport)), WEIGHTS)
    assert all(torch.equal(back[name], weight) and back[name].dtype == weight.dtype for name, weight in WEIGHTS.items())


def test_packed_weights_are_smaller_than_flowers_and_bytes_smaller_still(data: ServerData) -> None:
    weights = initial_network(quick(network="convnet(width=16)"), data.spec).module.state_dict()
    InProcessGrid(client_app(lambda _: None), 1)  # type: ignore[arg-type,return-value]
    plain, packed, small = (
        message_bytes(Message(RecordDict({"w": encoded(weights, transport)}), dst_node_id=1, message_type="train"))
        for transport in ("float32", "packed", "uint8")
    )
    numbers = sum(weight.numel() for weight in weights.values())
    assert small < numbers + 800 and 3 * numbers < packed < 4 * numbers < plain


@pytest.mark.parametrize("transport", ["packed", "uint8"])
def test_no_more_is_unpacked_than_the_weights_take(transport: str) -> None:
    bomb = zlib.compress(bytes(50_000_000), level=9)
    assert len(bomb) < 60_000
    for content, message in (
        (bomb, "more than the"),
        (zlib.compress(b"short"), "not those of this network"),
        (b"no zlib", "cannot be decompressed"),
    ):
        with pytest.raises((SummaryFormatError, SettingsError), match=message):
            decoded(arrays_of(ConfigRecord({transport: content})), WEIGHTS)
    for record in (ConfigRecord({transport: "text"}), ConfigRecord({"lzma": bomb}), ConfigRecord()):
        with pytest.raises(SummaryFormatError, match="weights travel as float32, packed, uint8"):
            arrays_of(record)


class Edited(InProcessGrid):
    """The second of three clients sends what ``edit`` makes of its reply."""

    edit: Callable[[RecordDict], RecordDict]

    def deliver(self, message: Message) -> Message | None:
        reply = super().deliver(message)
        if message.metadata.dst_node_id == 2 and reply is not None:
            reply.content = type(self).edit(reply.content)
        return reply


def _with(**records: Any) -> Callable[[RecordDict], RecordDict]:
    return lambda content: RecordDict({**content, **records})


def _filled(value: float) -> Callable[[RecordDict], RecordDict]:
    def edit(content: RecordDict) -> RecordDict:
        weights = initial_network(SETTINGS, dd.load_data("digits").spec).module.state_dict()
        sent = encoded({name: torch.full_like(weight, value) for name, weight in weights.items()}, "float32")
        return RecordDict({"arrays": sent, "metrics": content["metrics"]})

    return edit


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_with(uint8=ConfigRecord({"uint8": zlib.compress(bytes(10_000_000))})), "more than the"),
        (_with(uint8=ConfigRecord({"uint8": zlib.compress(bytes(10))})), "not those of this network"),
        (_with(metrics=MetricRecord({"num-examples": -1})), "'-1' stands where a number of examples"),
        (_with(metrics=MetricRecord({"num-examples": 10**12})), "where a number of examples"),
        (_with(metrics=MetricRecord({"examples": 1})), "malformed"),
        (lambda content: RecordDict({"metrics": content["metrics"]}), "one record of weights, not 0"),
        (_filled(float("nan")), "is not finite"),
        (
            lambda content: RecordDict({"arrays": encoded(WEIGHTS, "float32"), **content}),
            "one record of weights, not 2",
        ),
        (
            lambda content: RecordDict({"arrays": encoded(WEIGHTS, "float32"), "metrics": content["metrics"]}),
            "other weights than the global model",
        ),
    ],
)
def test_bad_weights_are_rejected_and_change_nothing(
    edit: Callable[[RecordDict], RecordDict], reason: str, parts: list[dd.TargetData], data: ServerData
) -> None:
    """The run without the second client has the same weights."""
    app = client_app(lambda context: parts[int(context.node_config["partition-id"])])
    grid = type("Once", (Edited,), {"edit": staticmethod(edit)})(app, 3, SETTINGS.to_config())
    outcome = run_server(grid, SETTINGS, data)
    assert [(r.round, r.node) for r in outcome.rejections] == [(1, 2)]
    assert reason in outcome.rejections[0].reason

    def absent(context: Any) -> dd.TargetData:
        if context.node_config["partition-id"] == 1:
            raise InputDataError("the disk is gone")
        return parts[int(context.node_config["partition-id"])]

    without = run_server(InProcessGrid(client_app(absent), 3, SETTINGS.to_config()), SETTINGS, data)
    assert [r.reason for r in without.rejections] == ["the client failed: InputDataError: the disk is gone"]
    assert all(torch.equal(outcome.weights[name], weight) for name, weight in without.weights.items())


@pytest.mark.parametrize("changes", [{"form": "fedavg", "rounds": 2}, {"form": "one-shot", "rounds": 2}])
def test_a_run_without_any_reply_is_an_error_with_its_reasons(
    changes: dict[str, Any], data: ServerData, tmp_path: Any
) -> None:
    def gone(context: Any) -> dd.TargetData:
        raise InputDataError("the disk is gone" if context.node_config["partition-id"] else "the lights are out")

    settings = quick(local_epochs=1, min_clients=2, **changes)
    grid = InProcessGrid(client_app(gone), 3, settings.to_config())
    wanted = "in 2 rounds.*2 clients: the client failed: InputDataError: the disk is gone; 1 client: .*lights are out"
    with pytest.raises(NoReplyError, match=wanted):
        run_server(grid, settings, data, tmp_path)
    assert '"accuracy": null' in (tmp_path / "results.json").read_text()


def test_local_training_is_augmented_where_settings_say_so(parts: list[dd.TargetData], data: ServerData) -> None:
    plain, views = (
        simulate(quick(form="fedavg", local_epochs=1, protocol="dsa", augmented=augmented), parts, data)
        for augmented in (False, True)
    )
    assert any(not torch.equal(plain.weights[name], views.weights[name]) for name in plain.weights)
    assert plain.bytes_up == views.bytes_up
    with pytest.raises(SettingsError, match="protocol 'dc' augments nothing"):
        simulate(quick(form="fedavg", augmented=True), parts, data)
    with pytest.raises(SettingsError, match="form 'feddm' has no use for augmented"):
        simulate(quick(form="feddm", augmented=True, protocol="dsa"), parts, data)


def test_weights_stand_in_one_record() -> None:
    assert weights_in(RecordDict({"packed": ConfigRecord({"packed": b""}), "config": ConfigRecord()}))
