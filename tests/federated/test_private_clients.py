"""Private clients: one budget over all rounds, kept across rounds and restarts.

What they tell is what the certificate says.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import torch
from flwr.app import ConfigRecord, Context, Message, RecordDict

import ddcore as dd
from ddapps.federated import InProcessGrid, ServerData, Settings, client_app, run_server, simulate
from ddapps.federated.agreement import Agreement
from ddapps.federated.forms import FORMS
from ddapps.federated.private import COUNT_NOISE, union_epsilon
from ddapps.federated.remembered import Remembered
from ddapps.federated.roles import Client
from ddapps.federated.server import Server
from ddapps.federated.wire import REFUSED, Task
from ddapps.privacy import Certificate, PrivateSignal, epsilon_of, verify
from ddcore.errors import (
    BudgetError,
    CertificateError,
    CheckpointError,
    NoReplyError,
    SettingsError,
    SummaryFormatError,
    UnsupportedError,
)
from tests.federated.conftest import quick

SETTINGS = quick(method="dm", ipc=1, steps=3, epsilon=5.0, delta=1e-4)


def client(settings: Settings, target: dd.TargetData, state: RecordDict, directory: Path | None = None) -> Client:
    """Return a client with a folder of its own, a new one if none is given."""
    return Client(target, settings, "0", state, directory or Path(mkdtemp(dir=os.environ["DDAPPS_LEDGERS"])))


@pytest.fixture(autouse=True)
def _place() -> None:
    Path(os.environ["DDAPPS_LEDGERS"]).mkdir(parents=True, exist_ok=True)


def folders(node: int) -> dict[str, str]:
    """Return the configuration of a node that has a folder of its own."""
    return {"directory": f"{os.environ['DDAPPS_LEDGERS']}/node{node}"}


def asked(
    settings: Settings, worker: Client, round: int, weights: dict[str, torch.Tensor] | None = None
) -> dict[str, Any]:
    content = FORMS[settings.form].answer(worker, Task(round, f"nonce {round}", weights))
    return dict(content.config_records["summary"])


def paid(worker: Client) -> list[tuple[float, float, int]]:
    record = Remembered(worker).get("paid")
    assert record is not None
    return list(zip(record["sigma"], record["rate"], record["times"], strict=True))  # type: ignore[arg-type]


def spent(worker: Client, settings: Settings) -> float:
    return epsilon_of(paid(worker), settings.delta, "rdp")


def test_the_unions_epsilon_is_the_largest(parts: list[dd.TargetData], data: ServerData) -> None:
    outcome = simulate(SETTINGS, parts[:3], data)
    assert outcome.union is not None and outcome.rejections == ()
    summaries = [
        dd.DataSummary((part,), outcome.union.spec, record=record)
        for part, record in zip(outcome.union.parts, outcome.union.record["union_of"], strict=True)
    ]
    found = union_epsilon(summaries)
    assert outcome.privacy == found and outcome.to_json()["privacy"] == {"epsilon": found[0], "delta": found[1]}
    assert found[0] == max(Certificate.of(s).epsilon for s in summaries) <= 5.0
    assert found[0] > 4.5
    assert found[1] == 1e-4
    for summary in summaries:
        assert verify(summary).problems == ()
    with pytest.raises(CertificateError):
        union_epsilon([replace(summaries[0], record={})])


def test_all_rounds_together_stay_within_the_budget(parts: list[dd.TargetData], data: ServerData) -> None:
    settings = replace(SETTINGS, form="feddm", rounds=3)
    grid = InProcessGrid(
        client_app(lambda c: parts[int(c.node_config["partition-id"])]), 2, settings.to_config(), folders
    )
    outcome = run_server(grid, settings, data)
    assert outcome.rejections == () and len(outcome.history) == 3
    worker = client(settings, parts[0], grid.contexts[1].state)
    assert sum(times for _, _, times in paid(worker)) == 3 * 3
    assert 4.5 < spent(worker, settings) <= 5.0
    before = paid(worker)
    weights = dict(outcome.weights)
    with pytest.raises(BudgetError, match=r"would bring the total to epsilon 5\.\d+, of 5"):
        asked(settings, worker, 4, weights)
    assert paid(worker) == before


def test_a_client_that_was_restarted_remembers_what_it_paid_and_sent(
    parts: list[dd.TargetData], tmp_path: Path
) -> None:
    first = client(SETTINGS, parts[0], RecordDict(), tmp_path)
    answer = asked(SETTINGS, first, 1)
    again = client(SETTINGS, parts[0], RecordDict(), tmp_path)
    repeated = asked(SETTINGS, again, 2)
    assert repeated["tensors"] == answer["tensors"]
    assert (repeated["round"], repeated["nonce"]) == (2, "nonce 2")
    assert paid(again) == paid(first)
    assert oct((tmp_path / "paid.record").stat().st_mode)[-3:] == "600"
    (tmp_path / "paid.record").write_bytes(b"nonsense")
    (tmp_path / "reply.record").unlink()
    with pytest.raises(CheckpointError, match="is damaged"):
        asked(SETTINGS, client(SETTINGS, parts[0], RecordDict(), tmp_path), 1)


def test_withheld_classes_are_all_sent_and_no_size_is(digits: dd.TargetData, data: ServerData) -> None:
    few = digits.of_classes([2, 5])
    settings = replace(SETTINGS, counts="withheld", examples=300)
    record = asked(settings, client(settings, few, RecordDict()), 1)
    assert record["num-examples"] == 0 and "counts" not in record
    outcome = simulate(settings, [few, digits], data)
    assert outcome.rejections == () and outcome.union is not None
    assert outcome.union.counts == dict.fromkeys(range(10), 2)
    one, other = (r["privacy"] for r in outcome.union.record["union_of"])
    assert one["queries"] == other["queries"] and one["examples"] == other["examples"] == 300


def test_noisy_sizes_are_drawn_once_and_paid_for(digits: dd.TargetData) -> None:
    settings = replace(SETTINGS, counts="noised", form="feddm", rounds=2)
    state = RecordDict()
    worker = client(settings, digits, state)
    weights = dict(_weights(settings, digits))
    first, second = asked(settings, worker, 1, weights), asked(settings, worker, 2, weights)
    assert first["counts"] == second["counts"] != [digits.counts()[c] for c in range(10)]
    assert max(abs(a - digits.counts()[c]) for c, a in enumerate(first["counts"])) < 6 * COUNT_NOISE
    assert [(sigma, rate) for sigma, rate, _ in paid(worker)].count((COUNT_NOISE, 1.0)) == 1
    assert 4.5 < spent(worker, settings) <= 5.0
    assert first["num-examples"] == sum(first["counts"])


def _weights(settings: Settings, target: dd.TargetData) -> dict[str, torch.Tensor]:
    from ddapps.federated.global_model import initial_network

    return initial_network(settings, target.spec).module.state_dict()


def test_what_failed_inside_stays_with_the_client(parts: list[dd.TargetData], data: ServerData) -> None:
    secret = dd.load_data("digits")  # its normalisation was read from its examples

    def broken(context: Context) -> dd.TargetData:
        raise RuntimeError("record 17 is corrupt: Jane Doe")

    refused = f"no reply has counted in 1 round, so there is no global model. 1 client: {REFUSED}"
    for failing in (
        lambda: simulate(SETTINGS, [secret], ServerData.of(secret)),
        lambda: run_server(InProcessGrid(client_app(broken), 1, SETTINGS.to_config(), folders), SETTINGS, data),
    ):
        with pytest.raises(NoReplyError) as found:
            failing()
        assert str(found.value) == refused
    few = parts[0].with_train(torch.arange(5), "few")
    told = refused
    try:  # Noise decides whether any class stands out.
        simulate(replace(SETTINGS, counts="noised"), [few], data)
    except NoReplyError as error:
        told = str(error)
    assert told == refused


def test_an_answer_that_fails_is_paid_and_sizes_are_drawn_once(
    digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, counts="noised", method="dm")
    grid = InProcessGrid(client_app(lambda _: digits), 1, settings.to_config(), folders)
    asking = [Message(Task(1, "n").to_content(), dst_node_id=1, message_type="train")]
    features = PrivateSignal.features
    answers = iter(range(100))

    def failing(*words: Any) -> Any:
        if next(answers) == 2:
            raise RuntimeError("out of memory")
        return features(*words)

    monkeypatch.setattr(PrivateSignal, "features", failing)
    (reply,) = grid.send_and_receive(asking)
    assert reply.has_content() and list(reply.content) == ["refusal"]
    worker = client(settings, digits, grid.contexts[1].state)
    first = paid(worker)
    assert [times for _, _, times in first][-1] == 2 and (COUNT_NOISE, 1.0, 1) in first
    sizes = Remembered(worker).get("sizes")
    monkeypatch.undo()
    (reply,) = grid.send_and_receive(asking)
    again = Remembered(client(settings, digits, grid.contexts[1].state)).get("sizes")
    assert again == sizes
    assert spent(worker, settings) <= settings.epsilon


def test_no_change_of_settings_or_data_refills_the_budget(digits: dd.TargetData, tmp_path: Path) -> None:
    given = asked(SETTINGS, client(SETTINGS, digits, RecordDict(), tmp_path), 1)
    first = paid(client(SETTINGS, digits, RecordDict(), tmp_path))
    for changes in ({"seed": 1}, {"delta": 2e-4}, {"epsilon": 6.0}, {"steps": 4}):
        settings = replace(SETTINGS, **changes)  # type: ignore[arg-type]
        for _ in range(2):
            with pytest.raises(BudgetError, match="was spent before this run"):
                asked(settings, client(settings, digits, RecordDict(), tmp_path), 1)
    # What clients have no use for, or has become of the data: the answer is the one that was given,
    # and costs nothing.
    fewer = digits.with_train(torch.arange(1000), "fewer")
    for settings, target in ((replace(SETTINGS, timeout=9.0), digits), (SETTINGS, fewer)):
        assert asked(settings, client(settings, target, RecordDict(), tmp_path), 1)["tensors"] == given["tensors"]
    assert paid(client(SETTINGS, digits, RecordDict(), tmp_path)) == first
    with pytest.raises(CheckpointError, match="belongs to client '0'"):
        asked(SETTINGS, Client(digits, SETTINGS, "1", RecordDict(), tmp_path), 1)
    other = replace(SETTINGS, seed=2)
    with Remembered(client(SETTINGS, digits, RecordDict(), tmp_path)).locked():
        worker = client(other, digits, RecordDict(), tmp_path)
        with pytest.raises(CheckpointError, match="another run"):
            asked(other, worker, 1)


def test_the_same_round_asked_again_gets_the_same_answer_for_free(digits: dd.TargetData) -> None:
    settings = replace(SETTINGS, form="feddm", rounds=2)
    worker, weights = client(settings, digits, RecordDict()), _weights(settings, digits)
    first, again = asked(settings, worker, 1, weights), asked(settings, worker, 1, weights)
    assert again["tensors"] == first["tensors"]
    assert sum(times for _, _, times in paid(worker)) == 3
    second = asked(settings, worker, 2, weights)
    assert second["tensors"] != first["tensors"]
    assert len({sigma for sigma, _, _ in paid(worker)}) == 1


def test_a_client_has_a_limit_of_its_own(parts: list[dd.TargetData], data: ServerData) -> None:
    app = client_app(lambda c: parts[int(c.node_config["partition-id"])])
    for epsilon, gives in ((SETTINGS.epsilon, True), (9.0, False), (0.0, False)):
        settings = replace(SETTINGS, epsilon=epsilon)
        grid = InProcessGrid(app, 2, settings.to_config(), lambda node: {"max-epsilon": 6.0, **folders(node)})
        if gives:
            outcome = run_server(grid, settings, data)
            assert outcome.union is not None and len(outcome.union.parts) == 2 and outcome.rejections == ()
            continue
        with pytest.raises(NoReplyError, match=f"2 clients: {REFUSED}"):
            run_server(grid, settings, data)


def test_certificates_are_read_with_suspicion(parts: list[dd.TargetData], data: ServerData) -> None:
    record = asked(SETTINGS, client(SETTINGS, parts[0], RecordDict()), 1)
    agreement = Agreement(SETTINGS, data.spec)
    kept = json.loads(record["record"])
    InProcessGrid(client_app(lambda _: parts[0]), 1)
    asking = Message(RecordDict(), dst_node_id=1, message_type="train")

    def read(**changes: Any) -> None:
        content = RecordDict({"summary": ConfigRecord({**record, "record": json.dumps({**kept, **changes})})})
        agreement.read(Message(content, reply_to=asking), Task(1, "nonce 1"))

    read()
    for changes, message in (
        ({"privacy": 5}, "certificate"),
        ({"privacy": {**kept["privacy"], "epsilon": 400.0, "target_epsilon": 400.0}}, "agreed are 5"),
        ({"privacy": {**kept["privacy"], "delta": 0.01}}, "agreed are 5"),
        ({"steps": "x"}, "number of examples"),
        ({"more": 1}, "no certificate"),
    ):
        with pytest.raises(SummaryFormatError, match=message):
            read(**changes)


def test_methods_that_cannot_be_private_are_refused_before_anything_is_sent(data: ServerData) -> None:
    for changes in (
        {"counts": "noised", "epsilon": 0.5},
        {"method": "idc"},
        {"method": "random"},
        {"form": "fedd3", "method": ""},
        {"form": "everything", "method": ""},
    ):
        with pytest.raises((UnsupportedError, SettingsError)):
            Server(replace(SETTINGS, **changes), data)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="stops by the clock"):
        Server(replace(SETTINGS, max_seconds=1.0), data)


def test_a_private_run_takes_no_summary_without_a_certificate(parts: list[dd.TargetData], data: ServerData) -> None:
    public = replace(SETTINGS, epsilon=0.0)
    app = client_app(lambda c: parts[int(c.node_config["partition-id"])])
    with pytest.raises(NoReplyError, match="2 clients: a private run was agreed, and the reply carries no certificate"):
        run_server(InProcessGrid(app, 2, public.to_config()), SETTINGS, data)


def test_a_reply_to_a_private_task_holds_nothing_else(parts: list[dd.TargetData]) -> None:
    record = asked(SETTINGS, client(SETTINGS, parts[0], RecordDict()), 1)
    assert set(record) == {
        "round", "nonce", "client", "facts", "tensors", "part", "recipe", "num-examples", "counts", "record",
    }  # fmt: skip
    assert "sha256" not in str(record["record"]) and "seconds" not in str(record["record"]).replace(
        '"seconds": null', ""
    )
    message = Message(RecordDict(), dst_node_id=1, message_type="train")
    assert message.metadata.dst_node_id == 1


def test_a_private_client_without_a_folder_refuses(parts: list[dd.TargetData]) -> None:
    worker = Client(parts[0], SETTINGS, "0", RecordDict(), None)
    with pytest.raises(SettingsError, match="needs a folder of its own"):
        asked(SETTINGS, worker, 1)
    assert not worker.state.config_records
