"""Rounds that ask again, only for classes in which the union is weak."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from flwr.app import ConfigRecord, Message

import ddcore as dd
from ddapps.federated import InProcessGrid, Outcome, ServerData, Settings, client_app, run_server, simulate
from ddapps.federated.agreement import Agreement
from ddapps.federated.global_model import with_weights
from ddapps.federated.server import Server
from ddapps.federated.union import example_weights
from ddapps.federated.weakness import asked_limit, weak_shares
from ddapps.federated.wire import SUMMARY, Task
from ddcore.errors import InputDataError, NoReplyError, SettingsError, SummaryFormatError
from tests.federated.conftest import quick

SETTINGS = quick(method="random", rounds=2, supplement=0.5, epochs=20)


@pytest.fixture(scope="module")
def checked(digits: dd.TargetData) -> ServerData:
    """What a server with a validation split has."""
    return ServerData.of(digits.with_validation(0.1))


@pytest.fixture(scope="module")
def outcome(parts: list[dd.TargetData], checked: ServerData) -> Outcome:
    return simulate(SETTINGS, parts, checked)


def weak(outcome: Outcome, round: int = 1) -> dict[int, float]:
    return {int(class_id): share for class_id, share in outcome.history[round - 1]["weak"].items()}


def test_classes_are_weak_by_what_their_error_exceeds_the_mean_by() -> None:
    assert weak_shares({0: 0.0, 1: 0.4, 2: 0.2, 3: 0.6}) == pytest.approx({1: 0.1 / 0.4, 3: 0.3 / 0.4})
    assert weak_shares({0: 0.3, 1: 0.3, 2: 0.1 + 0.2}) == {}


def test_weakness_is_that_of_the_first_union_on_the_validation_split(
    outcome: Outcome, parts: list[dd.TargetData], checked: ServerData
) -> None:
    first = simulate(replace(SETTINGS, rounds=1, supplement=0.0), parts, checked)
    assert outcome.history[0]["accuracy"] == first.accuracy
    network, held = with_weights(SETTINGS, checked.spec, first.weights).module.eval(), checked.validation
    assert held is not None
    with torch.no_grad():
        right = network(checked.spec.normalisation.apply(held.inputs)).argmax(dim=1) == held.targets
    errors = {c: 1 - float(right[held.targets == c].float().mean()) for c in range(10)}
    mean = sum(errors.values()) / 10
    above = {c: error - mean for c, error in errors.items() if error > mean}
    assert weak(outcome) == pytest.approx({c: e / sum(above.values()) for c, e in above.items()}, abs=1e-4)


def test_clients_add_examples_of_weak_classes_by_their_shares_and_none_twice(
    outcome: Outcome, parts: list[dd.TargetData], checked: ServerData
) -> None:
    first = simulate(replace(SETTINGS, rounds=1, supplement=0.0), parts, checked)
    assert first.union is not None and outcome.union is not None
    wanted = Counter(first.union.counts)
    for part in parts:
        sizes = part.counts()
        for class_id, share in weak(outcome).items():
            items = int(0.5 * 2 * 10 * share + 1e-3)
            wanted[class_id] += max(0, min(items, sizes.get(class_id, 0) - 2))
    assert outcome.union.counts == wanted
    assert outcome.history[1]["supplements"] > 0 and outcome.history[1]["in_union"] == 4
    images = outcome.union.to_pixels().flatten(1)
    assert len(images.unique(dim=0)) == len(images)
    assert outcome.rejections == ()


def test_only_clients_that_have_weak_classes_are_asked_again(
    outcome: Outcome, parts: list[dd.TargetData], checked: ServerData
) -> None:
    worth = {c for c, share in weak(outcome).items() if 10 * share >= 1}
    holders = {node + 1 for node, part in enumerate(parts) if worth & {c for c, n in part.counts().items() if n > 2}}
    assert 0 < len(holders) < 4
    assert {t.node for t in outcome.transfers if t.round == 2} == holders
    server = Server(SETTINGS, checked)
    grid = InProcessGrid(client_app(lambda c: parts[int(c.node_config["partition-id"])]), 4, SETTINGS.to_config())
    assert server.tasks([1])[1].asked == {}
    server.weak = {3: 0.5, 4: 0.5}
    assert server.asks(list(grid.get_node_ids()), 0) == [1, 2, 3, 4], "first summaries are asked for in any case"


def test_in_bytes_a_supplement_follows_the_shares_and_stays_within_its_part(
    parts: list[dd.TargetData], checked: ServerData
) -> None:
    settings = replace(SETTINGS, bytes="1500", supplement=0.8)
    first, both = (simulate(s, parts, checked) for s in (replace(settings, rounds=1, supplement=0.0), settings))
    assert first.union is not None and both.union is not None
    added = both.union.stored_bytes - first.union.stored_bytes
    assert 0 < added <= 4 * 1200 and both.rejections == ()
    shares = weak(both)
    more = {
        c: n - first.union.counts.get(c, 0) for c, n in both.union.counts.items() if n > first.union.counts.get(c, 0)
    }
    assert set(more) <= set(shares)


def supplement_of(parts: list[dd.TargetData], settings: Settings, task: Task) -> Message:
    """Return the last client's reply to a task."""
    grid = InProcessGrid(client_app(lambda _: parts[3]), 1, settings.to_config())
    message = Message(task.to_content(), dst_node_id=1, message_type="train")
    (reply,) = grid.send_and_receive([message])
    return reply


def test_a_supplement_in_bytes_is_in_proportion(parts: list[dd.TargetData], checked: ServerData) -> None:
    settings = replace(SETTINGS, bytes="4000", supplement=1.0, method="dm", steps=1)
    one, two = [c for c, n in parts[3].counts().items() if n >= 12][:2]
    asked = {one: 0.2, two: 0.1}
    reply = supplement_of(parts, settings, Task(2, "0" * 16, asked=asked))
    given = Agreement(settings, checked.spec).read(reply, Task(2, "0" * 16, asked=asked))
    assert given.supplement and given.summary.stored_bytes <= 0.3 * 4000
    counts = given.summary.counts
    assert counts[two] == counts[one] // 2 and set(counts) == {one, two}
    assert asked_limit(settings, checked.spec, asked) in (1199, 1200)
    assert counts[one] == min(12, parts[3].counts()[one])


def test_a_supplement_of_the_same_size_has_draws_of_its_own(digits: dd.TargetData, checked: ServerData) -> None:
    two = digits.with_train(torch.isin(digits.train.targets, torch.tensor([3, 7])).nonzero().flatten(), "two")
    settings, asked = replace(SETTINGS, method="dm"), {3: 0.2, 7: 0.2}
    agreement, images = Agreement(settings, checked.spec), []
    for task in (Task(1, "0" * 16), Task(2, "0" * 16, asked=asked), Task(3, "0" * 16, asked=asked)):
        given = agreement.read(supplement_of([two] * 4, settings, task), task).summary
        assert given.counts == {3: 2, 7: 2}
        images.append(given.to_pixels().flatten(1))
    assert len(torch.cat(images).unique(dim=0)) == 12


def test_what_was_not_asked_for_does_not_count(parts: list[dd.TargetData], checked: ServerData) -> None:
    present = [c for c, n in parts[3].counts().items() if n > 8]
    asked, other = {present[0]: 0.5}, {present[0]: 0.3, present[1]: 0.3}
    agreement = Agreement(SETTINGS, checked.spec)
    reply = supplement_of(parts, SETTINGS, Task(2, "0" * 16, asked=asked))
    assert agreement.read(reply, Task(2, "0" * 16, asked=asked)).summary.counts == {present[0]: 5}
    with pytest.raises(SummaryFormatError, match="it has 5 examples of one class, agreed are 3"):
        agreement.read(reply, Task(2, "0" * 16, asked=other))
    with pytest.raises(
        SummaryFormatError, match=rf"it has examples of class {present[0]}, asked were \[{present[1]}\]"
    ):
        agreement.read(reply, Task(2, "0" * 16, asked={present[1]: 0.9}))
    with pytest.raises(SummaryFormatError, match="of one class, agreed are 2"):
        agreement.read(reply, Task(2, "0" * 16))


def test_a_client_that_has_sent_all_of_a_class_is_not_asked_again(digits: dd.TargetData, checked: ServerData) -> None:
    few = [p.with_train(torch.arange(12), "few") for p in dd.data.partitions.iid(digits, 2, seed=0)]
    outcome = simulate(replace(SETTINGS, ipc=20, supplement=1.0), few, checked)
    assert weak(outcome) and outcome.history[1]["bytes_down"] == 0
    assert outcome.union is not None and len(outcome.union) == 24


def test_examples_of_a_class_weigh_what_their_client_says_supplement_or_not(
    parts: list[dd.TargetData], checked: ServerData
) -> None:
    settings = replace(SETTINGS, weighting="counts", weight_cap=100.0)
    grid = InProcessGrid(client_app(lambda c: parts[int(c.node_config["partition-id"])]), 4, settings.to_config())
    server = Server(settings, checked)
    for _ in range(2):
        asked = server.asks(list(grid.get_node_ids()), 0)
        messages = [
            Message(task.to_content(), dst_node_id=node, message_type="train")
            for node, task in server.tasks(asked).items()
        ]
        server.take(grid.send_and_receive(messages))
        server.finish_round()
    assert server.supplements
    weights, place, totals = example_weights(server.given(), settings, checked), 0, Counter[tuple[str, int]]()
    for given in server.given():
        for class_id, indices in given.summary.members().items():
            totals[given.client, class_id] += float(weights[place + indices].sum())  # type: ignore[assignment]
        place += len(given.summary)
    for (client, class_id), total in totals.items():
        size = parts[int(client)].counts()[class_id]
        ratio = total / size
        assert ratio == pytest.approx(
            totals["0", parts[0].spec.classes[0]] / parts[0].counts()[parts[0].spec.classes[0]], rel=1e-4
        )


class Killed(BaseException):
    """The server's process ends here."""


def test_a_server_that_is_killed_goes_on_with_its_supplements(
    parts: list[dd.TargetData], checked: ServerData, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, rounds=3, method="dm")
    whole = simulate(settings, parts, checked)

    class Dying(InProcessGrid):
        def deliver(self, message: Message) -> Message | None:
            if message.content.config_records["task"]["round"] == 3:
                raise Killed
            return super().deliver(message)

    app = client_app(lambda c: parts[int(c.node_config["partition-id"])])
    grid = Dying(app, 4, settings.to_config())
    with pytest.raises(Killed):
        run_server(grid, settings, checked, tmp_path)
    resumed = run_server(InProcessGrid(app, 4, settings.to_config()), settings, checked, tmp_path)
    assert whole.history[0]["supplements"] == 0 < whole.history[2]["supplements"]
    assert resumed.union is not None and whole.union is not None
    assert resumed.union.sha256() == whole.union.sha256()
    assert resumed.history == whole.history


def test_supplements_need_a_validation_split_and_a_form_that_adds(parts: list[dd.TargetData], data: ServerData) -> None:
    with pytest.raises(InputDataError, match="supplement = 0"):
        simulate(SETTINGS, parts, replace(data, validation=None))
    for changes, message in (
        ({"form": "feddm"}, "form 'feddm' cannot ask for classes again"),
        ({"form": "everything", "method": ""}, "form 'everything' cannot"),
        ({"epsilon": 5.0}, "with epsilon cannot"),
        ({"rounds": 1}, "set rounds = 2"),
    ):
        with pytest.raises(SettingsError, match=message):
            replace(SETTINGS, **changes).require_consistent()  # type: ignore[arg-type]


def test_a_time_limit_ends_distillation_and_the_record_says_so(parts: list[dd.TargetData], data: ServerData) -> None:
    settings = quick(method="dm", steps=100000, max_seconds=0.3)
    outcome = simulate(settings, parts, data)
    (entry,) = outcome.history
    assert [work["client"] for work in entry["work"]] == ["0", "1", "2", "3"]
    for work in entry["work"]:
        assert 0 < work["steps"] < 100000 and 0.3 <= work["seconds"] < 10
    assert "work" not in simulate(quick(method="random"), parts, data).history[0]


def test_a_reply_without_its_time_does_not_count_where_time_is_limited(
    parts: list[dd.TargetData], data: ServerData
) -> None:
    class Silent(InProcessGrid):
        def deliver(self, message: Message) -> Message | None:
            reply = super().deliver(message)
            assert reply is not None
            record = dict(reply.content.config_records[SUMMARY])
            record["seconds"] = float("nan")
            reply.content[SUMMARY] = ConfigRecord(record)
            return reply

    settings = quick(method="dm", steps=1, max_seconds=5.0)
    grid = Silent(client_app(lambda c: parts[int(c.node_config["partition-id"])]), 4, settings.to_config())
    with pytest.raises(NoReplyError, match="4 clients: a time limit was agreed, and it says 'nan' seconds"):
        run_server(grid, settings, data)


@pytest.mark.parametrize("nbytes", ["300", "900"])
def test_supplements_through_the_codec_hold_what_their_bytes_hold(
    parts: list[dd.TargetData], checked: ServerData, nbytes: str
) -> None:
    """Their size is that of what is written: the largest that it could be is many times as much."""
    method = dd.portfolio(checked.spec, joint=False)["random (8 px, 4 levels)"].build()
    settings = replace(SETTINGS, method=method, bytes=nbytes)
    once = simulate(replace(settings, rounds=1, supplement=0.0), parts, checked)
    outcome = simulate(settings, parts, checked)
    assert outcome.rejections == () and outcome.union is not None and once.union is not None
    assert outcome.history[1]["supplements"] > 0
    more = outcome.union.stored_bytes - once.union.stored_bytes
    assert 0 < more <= 4 * 0.5 * int(nbytes)
    assert len(outcome.union) - len(once.union) > more / 64, "a pixel each would take a byte"
