"""Method ``auto``: the server chooses on its validation split, clients are told a name."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from flwr.app import RecordDict

import ddcore as dd
from ddapps.federated import InProcessGrid, ServerData, Settings, client_app, run_server, simulate
from ddapps.federated.agreement import Agreement
from ddapps.federated.choosing import named
from ddapps.federated.compare import compare
from ddapps.federated.forms import FORMS
from ddapps.federated.roles import Client
from ddapps.federated.settings import equal_share
from ddapps.federated.strategy import DistillationStrategy
from ddapps.federated.wire import Task
from ddcore.errors import (
    BudgetError,
    InputDataError,
    NoReplyError,
    SettingsError,
    SummaryFormatError,
    UnknownNameError,
    UnsupportedError,
)
from ddcore.factorization import Compressed
from ddcore.images import LowResolution
from tests.federated.conftest import quick

AUTO = quick(method="auto", bytes="1280", clients=4)


@dataclass(frozen=True)
class Choice:
    method: dd.Method

    def record(self) -> dict[str, Any]:
        return {"chosen": "herding", "runner_up": "random"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Put a choice of two selection rules in place of the real one; return what it is asked."""
    portfolio = {name: dd.portfolio(dd.load_data("digits").spec)[name] for name in ("random", "herding")}
    calls: list[dict[str, Any]] = []

    def choose(target: dd.TargetData, **words: Any) -> Choice:
        calls.append({"target": target, **words})
        return Choice(portfolio["herding"].build())

    monkeypatch.setattr(dd, "choose_method", choose)
    monkeypatch.setattr(dd, "portfolio", lambda spec, joint: portfolio)
    return calls


def test_clients_do_what_the_server_has_chosen_on_its_validation_split(
    asked: list[dict[str, Any]], digits: dd.TargetData, parts: list[dd.TargetData]
) -> None:
    data = ServerData.of(digits.with_validation(0.3))
    outcome = simulate(AUTO, parts, data)
    (call,) = asked
    assert call["nbytes"] == 4 * 1280 and torch.equal(call["target"].train.inputs, data.validation.inputs)  # type: ignore[union-attr]
    assert outcome.choice == outcome.to_json()["choice"] == {"chosen": "herding", "runner_up": "random"}
    assert outcome.union is not None and outcome.union.stored_bytes <= 4 * 1280 and outcome.rejections == ()
    images = outcome.union.tensors()[0]
    herding, random = (simulate(replace(AUTO, method=name), parts, data).union for name in ("herding", "random"))
    assert torch.equal(images, herding.tensors()[0])  # type: ignore[union-attr]
    assert not torch.equal(images, random.tensors()[0])  # type: ignore[union-attr]


def test_a_row_of_auto_is_chosen_once_for_all_partitions(
    asked: list[dict[str, Any]], digits: dd.TargetData, tmp_path: Any
) -> None:
    settings = quick(method="auto", bytes="1280", min_clients=2)
    for _ in (1, 2):
        found = compare(digits, settings, clients=2, alpha=5.0, baselines=["random"], seeds=2, directory=tmp_path)
        assert [row.name for row in found.rows] == ["auto", "random"]
        assert found.rows[0].settings["choice"]["runner_up"] == "random"
        assert len(asked) == 1 and asked[0]["nbytes"] == 2 * 1280
    assert asked[0]["target"].train is not digits.train
    assert len(asked[0]["target"].train) == len(digits.with_validation(0.2).validation)  # type: ignore[arg-type]


def test_what_cannot_be_chosen_is_said_before_anything_is_sent(
    asked: list[dict[str, Any]], digits: dd.TargetData, parts: list[dd.TargetData]
) -> None:
    data = ServerData.of(digits.with_validation(0.3))
    for settings, given, error, message in (
        (AUTO, ServerData.of(digits), InputDataError, "on a validation split of the server"),
        (replace(AUTO, bytes=""), data, SettingsError, "needs to know the bytes of a client"),
        (replace(AUTO, clients=0), data, SettingsError, "how many there are"),
        (replace(AUTO, epsilon=5.0, delta=1e-4), data, UnsupportedError, "a private run names its method"),
    ):
        with pytest.raises(error, match=message):
            simulate(settings, parts, given)
    assert asked == []


def test_a_name_that_is_none_of_the_portfolio_is_refused_by_clients(
    asked: list[dict[str, Any]], parts: list[dd.TargetData]
) -> None:
    client = Client(parts[0], AUTO, "0", RecordDict())
    assert client.told("herding").settings.chosen_method == "herding"  # type: ignore[attr-defined]
    with pytest.raises(UnknownNameError, match="unknown method of the portfolio 'dm'"):
        client.told("dm")
    named = replace(client, settings=replace(AUTO, method="random"))
    assert named.told("herding") is named


def test_what_is_chosen_distils_on_the_runs_network(parts: list[dd.TargetData]) -> None:
    client = Client(parts[0], replace(AUTO, network="convnet(width=4)"), "0", RecordDict())
    method = client.told("dm (8 px, 2 levels)").settings.compression.within(300, parts[0])
    assert method.networks.architecture == dd.networks.as_architecture("convnet(width=4)")


def test_a_server_that_begins_again_does_not_choose_again(
    asked: list[dict[str, Any]], digits: dd.TargetData, tmp_path: Path
) -> None:
    data = ServerData.of(digits.with_validation(0.3))
    for _ in (1, 2):
        assert DistillationStrategy(AUTO, data, tmp_path).choice == {"chosen": "herding", "runner_up": "random"}
    assert len(asked) == 1


def test_a_class_that_the_validation_split_lacks_hinders_no_choice(
    asked: list[dict[str, Any]], digits: dd.TargetData
) -> None:
    held = digits.with_validation(0.3)
    assert held.validation is not None
    without = held.validation.take((held.validation.targets != 7).nonzero().flatten())
    named(AUTO, ServerData.of(replace(held, validation=without)))
    assert asked[0]["target"].spec.classes == tuple(c for c in range(10) if c != 7)


def test_levels_leave_codes_as_they_are(parts: list[dd.TargetData], data: ServerData) -> None:
    """Rounding is of pixels. A code that is rounded is none."""
    method = dd.portfolio(data.spec, joint=False)["random (8 px, 4 levels)"].build()
    settings = quick(method=method, bytes="400", min_clients=2, epochs=1)
    unions = []
    for levels in (256, 16):
        outcome = simulate(replace(settings, levels=levels), parts[2:], data)
        assert outcome.rejections == () and outcome.union is not None
        unions.append(outcome.union.tensors()[0])
    assert torch.equal(*unions)


def test_clients_share_equally() -> None:
    assert Settings(bytes=equal_share("16kB", 10)).bytes == "1600"
    assert equal_share("16005", 10) == "1600"
    with pytest.raises(BudgetError, match="less than a byte for each of 10"):
        equal_share("9", 10)


def test_what_the_codec_wraps_is_agreed_too(parts: list[dd.TargetData], data: ServerData) -> None:
    """A stranger's code may not say another size or other levels than the agreed ones."""
    method = dd.portfolio(data.spec, joint=False)["random (8 px, 4 levels)"].build()
    settings = quick(method=method, bytes="400", min_clients=2)
    outcome = simulate(settings, parts[2:], data)
    assert outcome.union is not None and outcome.union.stored_bytes <= 2 * 400 and outcome.rejections == ()
    content = FORMS["one-shot"].answer(Client(parts[3], settings, "0", RecordDict()), Task(1, "n"))
    record = content.config_records["summary"]
    agreement, decoder = Agreement(settings, data.spec), json.loads(str(record["part"]))
    for change in (
        {"levels": 16},
        {"of": {**decoder["of"], "size": 4096}},
        {"of": {**decoder["of"], "name": "pixels"}},
    ):
        settings_of_it = {**decoder, **change}
        with pytest.raises(SummaryFormatError, match="agreed is"):
            agreement.part(record["tensors"], settings_of_it)  # type: ignore[arg-type]


def test_as_many_coded_examples_count_as_their_bytes_hold(digits: dd.TargetData) -> None:
    """Codes are far smaller than pixels: more examples come than these bytes hold pixels."""
    images = digits.train.inputs.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    test = (images[:60], digits.train.targets[:60])
    target = dd.load_data((images, digits.train.targets), test=test, num_classes=10)
    codec = Compressed(LowResolution(ipc=1, size=8), levels=2)
    settings = quick(method=dd.choosing.through("random", codec), bytes="600", epochs=1)
    outcome = simulate(settings, dd.data.partitions.iid(target, 2), ServerData.of(target))
    assert outcome.rejections == () and outcome.union is not None
    assert outcome.union.stored_bytes <= 1200 and len(outcome.union) > 2 * 64


def test_what_is_compressed_has_no_more_examples_of_a_class_than_agreed(
    parts: list[dd.TargetData], data: ServerData
) -> None:
    """A flat picture costs next to nothing, so that bytes alone would let many pass."""
    method = dd.portfolio(data.spec, joint=False)["random (8 px, 4 levels)"].build()
    agreed, greedy = (quick(method=method, ipc=ipc, min_clients=2) for ipc in (2, 8))
    app = client_app(lambda c: parts[2 + int(c.node_config["partition-id"])], method=method)
    outcome = run_server(InProcessGrid(app, 2, agreed.to_config()), agreed, data)
    assert outcome.union is not None and outcome.rejections == ()
    with pytest.raises(NoReplyError, match="it has 8 examples of one class, agreed are 2"):
        run_server(InProcessGrid(app, 2, greedy.to_config()), agreed, data)
