"""Clients that die, come late, come twice or come back; a server that is killed between rounds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from flwr.app import ConfigRecord, Message, RecordDict

import ddcore as dd
from ddapps.federated import DistillationStrategy, InProcessGrid, ServerData, Settings, client_app, run_server, simulate
from ddapps.federated.global_model import initial_network
from ddapps.federated.journal import Journal
from ddapps.federated.local_training import train_locally
from ddapps.federated.roles import Client
from ddapps.federated.server import Server
from ddapps.federated.traffic import MeteredGrid
from ddapps.federated.transport import arrays_of, decoded, encoded
from ddcore.errors import CheckpointError, OutputExistsError, UnsupportedError
from tests.federated.conftest import quick

SETTINGS = quick(method="random", rounds=2, timeout=0.3)


class FaultyGrid(InProcessGrid):
    """A network on which single replies can be lost, late, or changed.

    Args:
        faults: (round, node) -> ``lost``, ``late`` (it comes when the next round's messages go
            out), or a function of the reply.
    """

    def __init__(self, parts: list[dd.TargetData], settings: Settings, faults: dict[tuple[int, int], Any]) -> None:
        super().__init__(
            client_app(lambda c: parts[int(c.node_config["partition-id"])]), len(parts), settings.to_config()
        )
        self._faults, self._delayed, self.deliveries = faults, {}, 0

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        arriving, self._delayed = self._delayed, {}
        ids = super().push_messages(messages)
        self._replies |= arriving
        return ids

    def deliver(self, message: Message) -> Message | None:
        self.deliveries += 1
        node = message.metadata.dst_node_id
        fault = self._faults.get((int(message.content.config_records["task"]["round"]), node))  # type: ignore[arg-type]
        if fault == "lost":
            return None
        reply = super().deliver(message)
        if fault == "late":
            assert reply is not None
            self._delayed[message.metadata.message_id] = reply
            return None
        return fault(reply) if callable(fault) else reply


def test_who_was_lost_is_asked_again_and_nobody_twice(parts: list[dd.TargetData], data: ServerData) -> None:
    clean = simulate(replace(SETTINGS, rounds=1), parts, data)
    grid = FaultyGrid(parts, SETTINGS, {(1, 2): "lost"})
    outcome = run_server(grid, SETTINGS, data)
    assert [(entry["clients"], entry["in_union"]) for entry in outcome.history] == [(3, 3), (1, 4)]
    assert grid.deliveries == 5
    assert outcome.union is not None and clean.union is not None
    assert outcome.union.sha256() == clean.union.sha256()
    assert outcome.rejections == ()


def test_a_late_reply_counts_where_one_answer_is_enough(parts: list[dd.TargetData], data: ServerData) -> None:
    settings = replace(SETTINGS, rounds=3)
    grid = FaultyGrid(parts, settings, {(1, 2): "late", (2, 2): "lost"})
    outcome = run_server(grid, settings, data)
    assert [(entry["clients"], entry["in_union"]) for entry in outcome.history] == [(3, 3), (1, 4), (0, 4)]
    clean = simulate(replace(settings, rounds=1), parts, data)
    assert outcome.union is not None and clean.union is not None
    assert outcome.union.sha256() == clean.union.sha256()
    assert outcome.bytes_up + outcome.bytes_down == sum(t.bytes for t in outcome.transfers)
    assert outcome.history[1]["bytes_up"] > 0 == outcome.history[2]["bytes_up"]


def test_a_late_reply_does_not_count_under_other_weights(parts: list[dd.TargetData], data: ServerData) -> None:
    settings = replace(SETTINGS, form="feddm", method="dm", rounds=3)
    outcome = run_server(FaultyGrid(parts, settings, {(1, 2): "late"}), settings, data)
    assert [r.reason for r in outcome.rejections] == [
        "it came after its round, under weights that are no longer the global ones"
    ]
    assert [entry["in_union"] for entry in outcome.history] == [3, 4, 4]


def test_a_duplicate_and_a_stolen_name_are_rejected(parts: list[dd.TargetData], data: ServerData) -> None:
    def named(name: str) -> Callable[[Message], Message]:
        def change(reply: Message) -> Message:
            reply.content["summary"] = ConfigRecord({**reply.content.config_records["summary"], "client": name})
            return reply

        return change

    settings = replace(SETTINGS, rounds=1)
    outcome = run_server(FaultyGrid(parts, settings, {(1, 2): named("0")}), settings, data)
    assert [r.reason for r in outcome.rejections] == ["the name '0' belongs to another client that is still connected"]
    server = Server(settings, data)
    grid = InProcessGrid(client_app(lambda _: parts[0]), 1, settings.to_config())
    tasks = server.tasks([1])
    sent = [Message(tasks[1].to_content(), dst_node_id=1, message_type="train")]
    (reply,) = grid.send_and_receive(sent)
    assert len(server.take([reply, reply])) == 1
    assert "duplicate" in server.rejections[-1].reason
    server.tasks([1])
    assert server.take([reply]) == []
    assert "replayed" in server.rejections[-1].reason
    stranger = InProcessGrid(client_app(lambda _: parts[0]), 3, settings.to_config())
    (unasked,) = stranger.send_and_receive([Message(tasks[1].to_content(), dst_node_id=3, message_type="train")])
    assert server.take([unasked]) == []
    assert "never asked for" in server.rejections[-1].reason


def test_a_share_of_the_clients_is_asked_until_all_have_answered(parts: list[dd.TargetData], data: ServerData) -> None:
    settings = replace(SETTINGS, fraction=0.5, rounds=3)
    outcome = simulate(settings, parts, data)
    assert [entry["in_union"] for entry in outcome.history] == [2, 4, 4]
    assert outcome.history[2]["bytes_down"] == 0
    assert outcome.history[2]["accuracy"] == outcome.history[1]["accuracy"]


def test_a_run_that_has_all_answers_waits_for_nobody(parts: list[dd.TargetData], data: ServerData) -> None:
    settings = replace(SETTINGS, clients=3, min_clients=4, rounds=3, timeout=60.0)

    class Leaving(FaultyGrid):
        def get_node_ids(self) -> Iterable[int]:
            return [1, 2, 3, 4] if self.deliveries == 0 else []

    started = time.monotonic()
    outcome = run_server(Leaving(parts, settings, {(1, 4): "lost"}), settings, data)
    assert [entry["in_union"] for entry in outcome.history] == [3, 3, 3]
    assert time.monotonic() - started < 20


def test_weights_in_bytes_are_what_updates_start_from(parts: list[dd.TargetData], data: ServerData) -> None:
    settings = quick(form="goetz-tewari", ipc=1, steps=3, local_epochs=1)
    plain, small = (simulate(replace(settings, transport=t), parts, data) for t in ("float32", "uint8"))
    assert small.bytes_down < plain.bytes_down and small.rejections == ()
    again = Server(replace(settings, transport="uint8"), data)
    sent = decoded(arrays_of(encoded(again.weights, "uint8")), again.weights)
    assert all(torch.allclose(sent[name], weight, atol=1e-6) for name, weight in again.weights.items())


def test_given_weights_begin_a_form_that_sends_them(parts: list[dd.TargetData], data: ServerData) -> None:
    other = initial_network(replace(SETTINGS, seed=9), data.spec).module.state_dict()
    grid = InProcessGrid(client_app(lambda c: parts[int(c.node_config["partition-id"])]), 4, {})
    with pytest.raises(UnsupportedError, match="leave initial_arrays out"):
        DistillationStrategy(SETTINGS, data).start(grid, encoded(other, "float32"))
    strategy = DistillationStrategy(quick(form="feddm"), data)
    strategy.server.begin_from(other)
    assert all(torch.equal(strategy.server.weights[name], weight) for name, weight in other.items())


class Killed(BaseException):
    """The server's process ends here."""


@pytest.mark.parametrize("form", ["one-shot", "feddm", "goetz-tewari"])
def test_a_server_that_is_killed_between_rounds_ends_where_it_would_have(
    form: str, parts: list[dd.TargetData], data: ServerData, tmp_path: Path
) -> None:
    settings = quick(form=form, rounds=3, fraction=0.5, local_epochs=1)
    whole = simulate(settings, parts, data)

    class Dying(InProcessGrid):
        def deliver(self, message: Message) -> Message | None:
            if int(message.content.config_records["task"]["round"]) == 2:  # type: ignore[arg-type]
                raise Killed
            return super().deliver(message)

    app = client_app(lambda c: parts[int(c.node_config["partition-id"])])
    with pytest.raises(Killed):
        run_server(Dying(app, 4, settings.to_config()), settings, data, tmp_path)
    resumed = run_server(InProcessGrid(app, 4, settings.to_config()), settings, data, tmp_path)
    assert [entry["round"] for entry in resumed.history] == [1, 2, 3]
    assert resumed.union is not None and whole.union is not None
    assert resumed.union.sha256() == whole.union.sha256()
    assert all(torch.equal(resumed.weights[name], weight) for name, weight in whole.weights.items())
    assert [e["bytes_up"] for e in resumed.history] == [e["bytes_up"] for e in whole.history]
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["accuracy"] == whole.accuracy
    assert dd.DataSummary.load(tmp_path / "union").counts == whole.union.counts
    done = InProcessGrid(app, 4, settings.to_config())
    assert run_server(done, settings, data, tmp_path).accuracy == whole.accuracy
    assert done.bytes_sent == 0


def test_the_directory_of_another_run_is_left_alone(
    parts: list[dd.TargetData], data: ServerData, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, rounds=1)
    simulate(settings, parts, data, tmp_path)
    with pytest.raises(OutputExistsError, match="other settings or data"):
        simulate(replace(settings, ipc=1), parts, data, tmp_path)
    state = tmp_path / "state" / "state.json"
    files = list((tmp_path / "state").glob("*.safetensors"))
    files[0].write_bytes(files[0].read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="missing or was changed"):
        Server(settings, data, tmp_path / "state")
    state.write_text(state.read_text()[:100])
    with pytest.raises(CheckpointError, match="delete the directory"):
        Server(settings, data, tmp_path / "state")


def test_a_torn_write_leaves_the_round_before(
    parts: list[dd.TargetData], data: ServerData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, rounds=1)
    simulate(settings, parts, data, tmp_path)
    before = Server(settings, data, tmp_path / "state")
    torn = Server(settings, data, tmp_path / "state")
    torn.weights = {name: weight + 1 for name, weight in torn.weights.items()}
    torn.round += 1

    def fails(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("ddapps.federated.journal.json.dumps", fails)
    with pytest.raises(OSError, match="no space"):
        Journal(tmp_path / "state", torn.facts()).write(torn.state())
    monkeypatch.undo()
    after = Server(settings, data, tmp_path / "state")
    assert after.round == before.round == 1
    assert all(torch.equal(after.weights[name], weight) for name, weight in before.weights.items())


def test_bytes_are_those_that_the_grid_serialises(parts: list[dd.TargetData], data: ServerData) -> None:
    settings = replace(SETTINGS, rounds=1)
    inner = InProcessGrid(client_app(lambda c: parts[int(c.node_config["partition-id"])]), 4, settings.to_config())
    outcome = run_server(inner, settings, data)
    assert outcome.bytes_up + outcome.bytes_down == inner.bytes_sent
    assert {(t.node, t.up) for t in outcome.transfers} == {(n, up) for n in (1, 2, 3, 4) for up in (True, False)}


def test_an_errors_bytes_are_counted_for_the_client_that_was_asked() -> None:
    """Flower itself reports a dead node: its reply names the SuperLink, not the client."""
    inner = InProcessGrid(client_app(lambda _: 1 / 0), 3)  # type: ignore[arg-type,return-value]
    grid = MeteredGrid(inner)
    sent = Message(RecordDict(), dst_node_id=3, message_type="train")
    (reply,) = grid.send_and_receive([sent])
    reply.metadata.__dict__["_src_node_id"] = 1
    assert reply.metadata.src_node_id == 1
    assert grid.asked(reply) == 3


def test_fedavg_is_the_weighted_mean_of_what_clients_trained(parts: list[dd.TargetData], data: ServerData) -> None:
    settings = quick(form="fedavg", local_epochs=1, min_clients=2)
    outcome = simulate(settings, parts[:2], data)
    sizes = [len(target.train) for target in parts[:2]]
    wanted: dict[str, torch.Tensor] = {}
    for index, target in enumerate(parts[:2]):
        worker = Client(target, settings, str(index), RecordDict())
        network = train_locally(worker, initial_network(settings, data.spec), 1)
        for name, weight in network.module.state_dict().items():
            wanted[name] = wanted.get(name, torch.zeros(())) + weight * (sizes[index] / sum(sizes))
    assert all(torch.allclose(outcome.weights[name], weight, atol=1e-6) for name, weight in wanted.items())


def test_the_strategy_starts_as_flowers_own_do(parts: list[dd.TargetData], data: ServerData) -> None:
    settings = replace(SETTINGS, rounds=1)
    grid = InProcessGrid(client_app(lambda c: parts[int(c.node_config["partition-id"])]), 4, settings.to_config())
    strategy = DistillationStrategy(settings, data)
    result = strategy.start(grid)
    assert result.evaluate_metrics_serverapp == {1: {"accuracy": strategy.server.history[-1]["accuracy"]}}
    assert result.train_metrics_clientapp[1]["clients"] == 4
    assert strategy.union.counts == simulate(settings, parts, data).union.counts  # type: ignore[union-attr]
    trained = decoded(arrays_of(result.arrays), strategy.server.weights)
    assert strategy.server.accuracy(trained) == strategy.server.history[-1]["accuracy"]
