"""A reply is data from a stranger.

What is not what was agreed is rejected with its reason, and changes nothing.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

import ddcore as dd
from ddapps.federated import InProcessGrid, ServerData, Settings, client_app, run_server, simulate
from ddapps.federated.agreement import Agreement
from ddapps.federated.caps import shares, tempered
from ddapps.federated.forms import FORMS
from ddapps.federated.forms.updates import averaged, norm
from ddapps.federated.roles import Client
from ddapps.federated.server import Server
from ddapps.federated.squeezing import unsqueezed
from ddapps.federated.union import example_weights
from ddapps.federated.wire import Task
from ddcore.errors import InputDataError, NoReplyError, SummaryFormatError
from ddcore.ground import pack_tensors, unpack_tensors
from ddcore.parts import Recipe, Steps
from tests.federated.conftest import quick

SETTINGS = quick(method="random", storage="float32", ipc=2)


@pytest.fixture(scope="module")
def honest(parts: list[dd.TargetData]) -> list[dict[str, Any]]:
    """What four clients answer in round 1 to a task whose nonce is their number."""
    answers = []
    for index, target in enumerate(parts):
        worker = Client(target, SETTINGS, str(index), RecordDict())
        content = FORMS["one-shot"].answer(worker, Task(1, f"nonce {index + 1}"))
        answers.append(dict(content.config_records["summary"]))
    return answers


def reply(node: int, record: dict[str, Any] | RecordDict) -> Message:
    content = record if isinstance(record, RecordDict) else RecordDict({"summary": ConfigRecord(record)})
    InProcessGrid(client_app(lambda _: None), 1)  # type: ignore[arg-type,return-value]
    asked = Message(RecordDict(), dst_node_id=node, message_type="train")
    return Message(content, reply_to=asked)


def edited(record: dict[str, Any], edit: Callable[[dict[str, torch.Tensor]], object]) -> dict[str, Any]:
    """Return a record whose tensors were edited in place."""
    tensors = {name: t.clone() for name, t in unpack_tensors(zlib.decompress(record["tensors"]), "x").items()}
    edit(tensors)
    return {**record, "tensors": zlib.compress(pack_tensors(tensors))}


def _put(name: str, value: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[dict[str, torch.Tensor]], object]:
    def edit(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name] = value(tensors[name])

    return edit


def _at(place: int, number: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def value(tensor: torch.Tensor) -> torch.Tensor:
        changed = tensor.flatten().clone()
        changed[place % len(changed)] = number
        return changed.view_as(tensor)

    return value


def malformed(kind: int, record: dict[str, Any], rng: random.Random) -> tuple[dict[str, Any] | RecordDict, str]:
    """Return a bad reply of one of twelve kinds, and a part of the reason that it must be given."""
    place = rng.randrange(10**6)
    return [
        lambda: (edited(record, _put("images", lambda t: t[..., : rng.randrange(1, 8)])), "images must be n x"),
        lambda: (edited(record, _put("images", _at(place, rng.choice([float("nan"), float("inf")])))), "NaN or infinity"),
        lambda: (edited(record, _put("images", _at(place, rng.choice([-1, 1]) * rng.uniform(3, 1e6)))), "pixels reach|out of range"),
        lambda: (edited(record, _put("classes", _at(place, rng.randrange(10, 256)))), "class"),
        lambda: (edited(record, lambda t: t.update({n: torch.cat([v] * 10) for n, v in t.items()})), "agreed"),
        lambda: ({**record, "round": rng.choice([0, -3, 2, 17])}, "replayed"),
        lambda: ({**record, "nonce": f"{place:x}"}, "replayed"),
        lambda: ({**record, "tensors": record["tensors"][: rng.randrange(1, len(record["tensors"]) - 1)]}, "truncated|decompressed"),
        lambda: ({**record, "part": json.dumps({"name": rng.choice(["os.system", "frequencies", "x" * 99])})}, "agreed is 'pixels'"),
        lambda: ({**record, "recipe": json.dumps({"loss": "cross_entropy", "learning_rate": rng.uniform(1, 1e6)})}, "recipe"),
        lambda: ({**record, rng.choice(["num-examples"]): rng.choice([-1, 10**12, 0.5, "many"])}, "number of examples"),
        lambda: (rng.choice([
            RecordDict(),
            RecordDict({"summary": MetricRecord({"x": 1.0})}),
            RecordDict({"arrays": ArrayRecord({"w": Array(torch.ones(3).numpy())})}),
            RecordDict({"summary": ConfigRecord({**record, "extra": 1})}),
            RecordDict({"summary": ConfigRecord({k: v for k, v in record.items() if k != "part"})}),
        ]), "wanted is one record|unknown or missing"),
    ][kind]()  # fmt: skip


def test_a_thousand_malformed_replies_change_nothing(honest: list[dict[str, Any]], data: ServerData) -> None:
    clean, attacked = Server(SETTINGS, data), Server(SETTINGS, data)
    rng, kinds = random.Random(0), [0] * 12
    for server in (clean, attacked):
        server.tasks([1, 2, 3, 4])
        server._open = {node: {f"nonce {node}": Task(1, f"nonce {node}")} for node in (1, 2, 3, 4)}
    for number in range(1000):
        node, kind = rng.randrange(1, 5), number % 12
        bad, reason = malformed(kind, honest[node - 1], rng)
        assert attacked.take([reply(node, bad)]) == []
        assert any(part in attacked.rejections[-1].reason for part in reason.split("|")), (
            kind,
            attacked.rejections[-1],
        )
        kinds[kind] += 1
    assert len(attacked.rejections) == 1000 and min(kinds) >= 83
    for server in (clean, attacked):
        assert len(server.take([reply(node, honest[node - 1]) for node in (1, 2, 3, 4)])) == 4
        server.finish_round()
    assert attacked.union().sha256() == clean.union().sha256()
    assert all(torch.equal(attacked.weights[name], weight) for name, weight in clean.weights.items())
    assert attacked.history[-1]["accuracy"] == clean.history[-1]["accuracy"]


def test_more_examples_of_a_class_than_agreed_are_rejected_however_few_bytes_they_are(
    honest: list[dict[str, Any]], data: ServerData
) -> None:
    agreement = Agreement(SETTINGS, data.spec)
    record = max(honest, key=lambda one: len(one["tensors"]))
    task = Task(1, record["nonce"])
    counts = agreement.read(reply(1, record), task).summary.counts
    assert len(counts) > 1 and max(counts.values()) == 2
    one, other = [class_id for class_id, count in counts.items() if count == 2][:2]

    def moved(tensors: dict[str, torch.Tensor]) -> None:
        place = (tensors["classes"] == other).nonzero().flatten()[0]
        tensors["classes"][place] = one

    with pytest.raises(SummaryFormatError, match="it has 3 examples of one class, agreed are 2"):
        agreement.read(reply(1, edited(record, moved)), task)


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ([5] * 9, "class sizes are 10 numbers"),
        ([5] * 11, "class sizes are 10 numbers"),
        ("many", "class sizes are 10 numbers"),
        ([-1] + [5] * 9, "'-1' stands where a number of examples belongs"),
        ([10**10] + [5] * 9, "'10000000000' stands where"),
        ([0.5] * 10, "'0.5' stands where"),
        ([True] * 10, "'True' stands where"),
    ],
)
def test_class_sizes_are_one_possible_number_for_each_class(
    counts: Any, reason: str, honest: list[dict[str, Any]], data: ServerData, parts: list[dd.TargetData]
) -> None:
    agreement, task = Agreement(SETTINGS, data.spec), Task(1, "nonce 1")
    read = agreement.read(reply(1, honest[0]), task)
    assert read.counts == {c: n for c, n in parts[0].counts().items() if n}
    assert read.num_examples == len(parts[0].train)
    with pytest.raises(SummaryFormatError, match=reason):
        agreement.read(reply(1, {**honest[0], "counts": counts}), task)


def test_mutated_bytes_are_read_or_rejected(honest: list[dict[str, Any]], data: ServerData) -> None:
    """Whatever bytes come, there is a contribution or a rejection, never another exception."""
    server, rng = Server(SETTINGS, data), random.Random(1)
    server.tasks([1])
    plain = zlib.decompress(honest[0]["tensors"])
    outcomes = {0: 0, 1: 0}
    for _ in range(300):
        content = bytearray(plain)
        for _ in range(rng.randrange(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        server._open = {1: {"nonce 1": Task(1, "nonce 1")}}
        taken = server.take([reply(1, {**honest[0], "tensors": zlib.compress(bytes(content))})])
        outcomes[len(taken)] += 1
    assert outcomes[0] + outcomes[1] == 300
    assert min(outcomes.values()) > 0


def test_soft_labels_out_of_range_are_rejected(parts: list[dd.TargetData], data: ServerData) -> None:
    settings = quick(form="dosfl", ipc=1, steps=1, storage="float32")
    worker = Client(parts[0], settings, "0", RecordDict())
    record = dict(FORMS["dosfl"].answer(worker, Task(1, "n")).config_records["summary"])
    agreement = Agreement(settings, data.spec)
    assert agreement.read(reply(1, record), Task(1, "n")).summary.tensors()[1].ndim == 2
    with pytest.raises(SummaryFormatError, match=r"soft label of 1e\+04 is out of range"):
        agreement.read(reply(1, edited(record, _put("labels", _at(3, 1e4)))), Task(1, "n"))
    with pytest.raises(SummaryFormatError, match="NaN"):
        agreement.read(reply(1, edited(record, _put("labels", _at(3, float("nan"))))), Task(1, "n"))
    recipe = json.loads(record["recipe"])
    for change in (
        {"loss": "squared_error"},
        {"learning_rate": 0.1},
        {"steps": None},
        {"steps": {**recipe["steps"], "momentum": 0.5}},
        {"steps": {**recipe["steps"], "rates": recipe["steps"]["rates"][:-1]}},
    ):
        with pytest.raises(SummaryFormatError, match="does not have the form of the agreed"):
            agreement.read(reply(1, {**record, "recipe": json.dumps({**recipe, **change})}), Task(1, "n"))
    nested = "[" * 5000 + "]" * 5000
    for text, message in (
        (f'{{"a": {nested}}}', "nested too deeply"),
        ('{"a": NaN}', "NaN"),
        (" " * 70000, "reasonable length"),
    ):
        with pytest.raises(SummaryFormatError, match=message):
            agreement.read(reply(1, {**record, "recipe": text}), Task(1, "n"))


def test_soft_labels_in_place_of_hard_ones_are_rejected(honest: list[dict[str, Any]], data: ServerData) -> None:
    agreement = Agreement(SETTINGS, data.spec)
    part = {**json.loads(honest[0]["part"]), "labels": "soft"}

    def labelled(tensors: dict[str, torch.Tensor]) -> None:
        tensors["labels"] = torch.ones(len(tensors["classes"]), 10)

    soft = {**edited(honest[0], labelled), "part": json.dumps(part)}
    with pytest.raises(SummaryFormatError, match="its labels is 'soft', agreed is 'hard'"):
        agreement.read(reply(1, soft), Task(1, "nonce 1"))


def test_a_reason_is_one_short_line(honest: list[dict[str, Any]], data: ServerData) -> None:
    server = Server(SETTINGS, data)
    server.tasks([1])
    server._open = {1: {"nonce 1": Task(1, "nonce 1")}}
    part = json.dumps({**json.loads(honest[0]["part"]), "x\n" * 10000: 1})
    assert server.take([reply(1, {**honest[0], "part": part})]) == []
    reason = server.rejections[-1].reason
    assert len(reason) < 500 and reason.isprintable()


def test_one_wild_update_neither_breaks_nor_leads_the_global_model(
    parts: list[dd.TargetData], data: ServerData
) -> None:
    for form, finite in (("goetz-tewari", True), ("fedsynth", False)):
        settings = quick(form=form, ipc=1, steps=3, local_epochs=1)

        def wild(content: RecordDict) -> RecordDict:
            record = content.config_records["summary"]
            recipe = json.dumps({"loss": "cross_entropy", "learning_rate": 1e6})
            return RecordDict({"summary": ConfigRecord({**record, "recipe": recipe})})

        server = Server(settings, data)
        before = {name: weight.clone() for name, weight in server.weights.items()}
        tasks = server.tasks([1, 2, 3, 4])
        for node, target in enumerate(parts, start=1):
            content = FORMS[form].answer(Client(target, settings, str(node), RecordDict()), tasks[node])
            server.take([reply(node, wild(content) if node == 4 else content)])
        server.finish_round()
        moved = {name: weight - before[name] for name, weight in server.weights.items()}
        assert 0 < norm(moved) < 10
        assert [r.reason for r in server.rejections] == ([] if finite else ["its update is not finite"])
        assert server.history[-1]["clients"] == (4 if finite else 3)
    updates = [{"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([0.0, 1.0])}, {"w": torch.tensor([0.0, 1e9])}]
    assert torch.allclose(averaged(updates, [0.25, 0.25, 0.5])["w"], torch.tensor([0.25, 0.25 + 0.5 * 5.0]))


def test_a_round_that_cannot_be_trained_on_keeps_the_model(digits: dd.TargetData) -> None:
    target = digits.with_validation(0.3)
    wrong = dd.data.Split(target.train.inputs, (target.train.targets + 1) % 10)
    settings = quick(method="random", ipc=5, screening=True)
    outcome = simulate(settings, [dd.TargetData("wrong", target.spec, wrong)], ServerData.of(target))
    first = Server(settings, ServerData.of(target)).weights
    if outcome.union is None:
        pytest.fail("the summary itself is well-formed")
    assert all(torch.equal(outcome.weights[name], weight) for name, weight in first.items())


def test_a_connection_has_one_name(honest: list[dict[str, Any]], data: ServerData) -> None:
    server = Server(SETTINGS, data)
    server.tasks([1])
    server._open = {1: {"nonce 1": Task(1, "nonce 1")}}
    assert server.take([reply(1, honest[0])])
    server._open = {1: {"nonce 1": Task(1, "nonce 1")}}
    assert server.take([reply(1, {**honest[0], "client": "another"})]) == []
    assert "has answered as '0' before" in server.rejections[-1].reason


def test_a_bomb_is_never_unpacked() -> None:
    bomb = zlib.compress(b"\0" * 50_000_000, level=9)
    assert len(bomb) < 100_000
    with pytest.raises(SummaryFormatError, match="more than the 1000 bytes"):
        unsqueezed(bomb, 1000)
    assert unsqueezed(zlib.compress(b"x" * 1000), 1000) == b"x" * 1000
    with pytest.raises(SummaryFormatError, match="something follows"):
        unsqueezed(zlib.compress(b"x") + b"y", 1000)


def test_what_clients_say_of_themselves_is_capped() -> None:
    assert shares([10, 10, 10**9], cap=2.0) == pytest.approx([0.25, 0.25, 0.5])
    assert shares([0, 0], cap=2.0) == [0.5, 0.5]
    assert shares([100, 10**9], cap=2.0) == pytest.approx([1 / 3, 2 / 3])
    assert sum(shares([1, 2, 3, 4], cap=10.0)) == pytest.approx(1)
    rates = [0.1, 0.1, 1e6]
    assert [r.learning_rate for r in tempered([Recipe(learning_rate=rate) for rate in rates])] == [0.1, 0.1, 1.0]
    recipes = [Recipe(steps=Steps((a, b))) for a, b in ((0.1, 0.2), (0.1, 0.2), (1e-9, 1e5))]
    assert [r.learning_rate for r in tempered([Recipe(learning_rate=0.1), Recipe(learning_rate=1e6)])] == [0.1, 1.0]
    steps = tempered(recipes)[2].steps
    assert steps is not None and steps.rates == pytest.approx((0.01, 2.0))


def test_class_sizes_weigh_examples_up_to_the_cap(digits: dd.TargetData, data: ServerData) -> None:
    some = digits.of_classes([0, 1])
    large, small = some.with_train(torch.arange(200), "large"), some.with_train(torch.arange(200, 220), "small")
    settings = quick(method="random", weighting="counts", weight_cap=1.5)
    server = Server(settings, data)
    for node, target in ((1, large), (2, small)):
        server.tasks([node])
        content = FORMS["one-shot"].answer(
            Client(target, settings, str(node), RecordDict()), server.tasks([node])[node]
        )
        assert server.take([reply(node, content)])
    weights, union = example_weights(server.given(), settings, data), server.union()
    assert float(weights.mean()) == pytest.approx(1)
    for class_id in (0, 1):
        sizes = [large.counts()[class_id], small.counts()[class_id]]
        limit = 1.5 * sorted([*large.counts().values(), *small.counts().values()])[1]
        first, second = weights[union.members()[class_id]].split(2)
        assert float(first.sum() / second.sum()) == pytest.approx(min(sizes[0], limit) / sizes[1], rel=1e-5)


def test_a_poisoned_summary_weighs_less_where_a_validation_split_judges(digits: dd.TargetData) -> None:
    target = digits.with_validation(0.3)
    halves = dd.data.partitions.iid(target, 3, seed=0)
    flipped = dd.data.Split(halves[2].train.inputs, (halves[2].train.targets + 1) % 10)
    poisoned = dd.TargetData("poisoned", halves[2].spec, flipped)
    settings = Settings(network="convnet(width=4)", method="random", ipc=5, epochs=40, screening=True, min_clients=1)
    data = ServerData.of(target)
    server = Server(settings, data)
    tasks = server.tasks([1, 2, 3])
    for node, part in enumerate([*halves[:2], poisoned], start=1):
        content = FORMS["one-shot"].answer(Client(part, settings, str(node), RecordDict()), tasks[node])
        assert server.take([reply(node, content)])
    weights = example_weights(server.given(), settings, data)
    honest, bad = weights[:100], weights[100:]
    assert float(bad.mean()) < 0.2 * float(honest.mean())
    outcomes = [
        simulate(Settings(**{**settings.__dict__, "screening": screening}), [*halves[:2], poisoned], data).accuracy
        for screening in (False, True)
    ]
    assert outcomes[1] > outcomes[0] + 3
    with pytest.raises(InputDataError, match="screening needs a validation split"):
        Server(settings, ServerData.of(digits))


def test_a_client_of_another_normalisation_is_told(parts: list[dd.TargetData]) -> None:
    other = ServerData.of(dd.load_data("digits", normalisation="none"))
    with pytest.raises(NoReplyError, match=r"2 clients: its data has another shape.*load both with one normalisation="):
        simulate(SETTINGS, parts[:2], other)


def test_a_client_that_fails_says_why_and_the_round_goes_on(parts: list[dd.TargetData], data: ServerData) -> None:
    def load(context: Any) -> dd.TargetData:
        if context.node_config["partition-id"] == 1:
            raise InputDataError("the disk is gone")
        return parts[int(context.node_config["partition-id"])]

    grid = InProcessGrid(client_app(load), 3, SETTINGS.to_config())
    outcome = run_server(grid, SETTINGS, data)
    assert [r.reason for r in outcome.rejections] == ["the client failed: InputDataError: the disk is gone"]
    assert outcome.union is not None and len(outcome.union.parts) == 2
