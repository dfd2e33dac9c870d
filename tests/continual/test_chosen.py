"""Words that stand for a method: chosen once, on the first experience and its bytes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ddcore as dd
from ddapps.continual import DistilledBuffer, DistilledMemory
from ddapps.continual.chosen import named
from ddapps.continual.compare import compare
from ddapps.continual.kinds import Distilled
from ddapps.continual.memory import examples_of
from ddapps.continual.outcomes import Outcome
from ddapps.continual.pace import CHOICE_SHARE
from ddcore.errors import CheckpointError, SettingsError, UnknownNameError
from ddcore.evaluation import Protocol
from ddcore.training import Training
from tests.continual.test_compare import SMALL


@dataclass(frozen=True)
class Candidate:
    name: str
    rule: str
    storage: str
    build: Callable[[], dd.Method]


def herding() -> dd.Method:
    return dd.methods.herding(ipc=1, preset="cpu")


@dataclass(frozen=True)
class Found:
    name: str

    def record(self) -> dict[str, Any]:
        return {"chosen": self.name, "runner_up": "random", "seconds": 1.5, "network": None}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a choice was asked; it finds the first candidate: of ``auto`` herding."""
    calls: list[dict[str, Any]] = []

    def choose_method(target: dd.TargetData, **settings: Any) -> Found:
        calls.append({"target": target, **settings})
        return Found(settings["candidates"][0].name)

    def portfolio(spec: dd.Spec, *, joint: bool) -> dict[str, Candidate]:
        assert not joint
        return {"herding": Candidate("herding", "herding", "as stored", herding)}

    def through(rule: str, codec: int) -> dd.Method:
        return dd.override(dd.methods.random(ipc=1), "name", f"{rule} at {codec}")

    choosing = SimpleNamespace(Candidate=Candidate, codecs=lambda spec: {"8 px": 8, "4 px": 4}, through=through)
    monkeypatch.setattr(dd, "choose_method", choose_method, raising=False)
    monkeypatch.setattr(dd, "portfolio", portfolio, raising=False)
    monkeypatch.setattr(dd, "choosing", choosing, raising=False)
    return calls


def test_a_choice_is_made_once_on_the_first_experience_and_its_share(
    three_tasks: list[dd.TargetData], asked: list[dict[str, Any]]
) -> None:
    memory, by_name = DistilledMemory("auto", 12, seed=3), DistilledMemory("herding", "780B", seed=3)
    with pytest.raises(SettingsError, match="observe one first"):
        _ = memory.compression
    for task in three_tasks:
        memory.observe(task)
        by_name.observe(task)
    (call,) = asked
    assert call["target"] is three_tasks[0]
    assert call["nbytes"] == 12 * 65 and call["joint"] is False and [c.name for c in call["candidates"]] == ["herding"]
    assert call["max_seconds"] == CHOICE_SHARE * 60.0
    assert memory.choice == {"chosen": "herding", "runner_up": "random", "seconds": 1.5, "network": None}
    assert str(memory.budget) == "780 bytes"
    ours, theirs = ([examples_of(kept.summary).fingerprint() for kept in one.kept] for one in (memory, by_name))
    assert ours == theirs and set(memory.counts.values()) == {2}


def test_a_chosen_memory_is_resized_in_the_bytes_of_real_images(
    three_tasks: list[dd.TargetData], asked: list[dict[str, Any]]
) -> None:
    spec = three_tasks[0].spec
    buffer = DistilledBuffer("auto", 12, normalisation=spec.normalisation, num_classes=10, mirror=False)
    buffer.memory.observe(three_tasks[0])
    buffer.memory.resize(8)
    assert str(buffer.memory.budget) == f"{8 * 65} bytes" and set(buffer.memory.counts.values()) == {4}
    buffer.resize(None, 4)
    assert buffer.max_size == 4 and str(buffer.memory.budget) == f"{4 * 65} bytes"
    assert set(buffer.memory.counts.values()) == {2}


def test_a_choice_is_found_again_and_not_made_again(
    three_tasks: list[dd.TargetData], asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    whole = DistilledMemory("auto", "130B-per-class", directory=tmp_path / "whole")
    for task in three_tasks:
        whole.observe(task)
    for known in (True, False):
        place = tmp_path / str(known)
        DistilledMemory("auto", "130B-per-class", directory=place).observe(three_tasks[0])
        asked.clear()
        again = DistilledMemory("auto", "130B-per-class", directory=place)
        again.observe(three_tasks[0])
        if not known:
            (place / "choice.json").unlink()
            with pytest.raises(CheckpointError, match="which method was chosen"):
                again.observe(three_tasks[1])
            continue
        for task in three_tasks[1:]:
            again.observe(task)
        assert asked == [] and again.choice == whole.choice
        assert [k.summary.sha256() for k in again.kept] == [k.summary.sha256() for k in whole.kept]
    (tmp_path / "True" / "choice.json").write_text("{")
    again = DistilledMemory("auto", "130B-per-class", directory=tmp_path / "True")
    with pytest.raises(CheckpointError, match="damaged"):
        again.observe(three_tasks[0])


def test_a_choice_that_is_found_again_is_resized(
    three_tasks: list[dd.TargetData], asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    """All experiences lie on disk, so nothing was distilled when the size changes."""
    for _ in range(2):
        memory = DistilledMemory("auto", "260B-per-class", directory=tmp_path)
        memory.observe(three_tasks[0])
    memory.resize("130B-per-class")
    assert set(memory.counts.values()) == {2} and len(asked) == 1


def test_other_settings_choose_anew(
    three_tasks: list[dd.TargetData], asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    for network in ("convnet(width=4)", "convnet(width=4)", "convnet(width=8)"):
        memory = DistilledMemory("auto", "130B-per-class", directory=tmp_path, network=network)
        memory._settle([(0, three_tasks[0])])
    assert len(asked) == 2


def test_a_method_that_was_chosen_before_distils_on_the_network_of_its_choice(three_tasks: list[dd.TargetData]) -> None:
    method = named("auto", {"chosen": "dm", "network": "convnet(width=4)"}, three_tasks[0].spec)
    assert method.networks.architecture == dd.networks.as_architecture("convnet(width=4)")  # type: ignore[attr-defined]


def test_beside_real_images_the_memory_chooses_the_storage(three_tasks: list[dd.TargetData]) -> None:
    spec = three_tasks[0].spec
    assert Distilled("random-codec").axes(spec) != [] != Distilled("auto", tuned=True).axes(spec)
    assert Distilled("random-codec", real=0.5).axes(spec) == [] == Distilled("auto", tuned=True, real=0.5).axes(spec)


def test_a_rule_through_the_codec_is_a_choice_among_its_ways_to_store(
    three_tasks: list[dd.TargetData], asked: list[dict[str, Any]]
) -> None:
    DistilledMemory("k_center-codec", "130B-per-class").observe(three_tasks[0])
    made = {candidate.name: candidate.build().name for candidate in asked[0]["candidates"]}
    assert made == {"k_center (8 px)": "k_center at 8", "k_center (4 px)": "k_center at 4"}
    with pytest.raises(UnknownNameError, match="random-codec"):
        DistilledMemory("radom-codec", "130B-per-class").observe(three_tasks[0])


def test_a_row_records_the_choice_of_each_order(digits: dd.TargetData, asked: list[dict[str, Any]]) -> None:
    target = digits.of_classes([0, 1, 2, 3])
    found = compare(target, ["auto"], **SMALL, memory="2-per-class", baselines=["random-codec"])
    assert [row.name for row in found.rows] == ["auto", "auto replay", "random-codec"]
    assert {row.memory_bytes for row in found.rows} == {4 * 2 * 65}
    entries = [row.to_json() for row in found.rows]
    assert [len(entry.get("chosen", [])) for entry in entries] == [2, 2, 0]
    assert entries[0]["chosen"][0]["runner_up"] == "random"
    # What a rule stores its examples in is chosen by the accuracy at the end.
    assert entries[2]["settings"]["memory"]["codec"] in ("8 px", "4 px")
    # Replay finds the memory of recall, and with it the choice.
    assert len(asked) == 2 and {call["nbytes"] for call in asked} == {2 * 2 * 65}
    for call in asked:
        assert call["target"].test is None and len(call["target"].spec.classes) == 2


def test_auto_can_be_tuned_as_baselines_are(digits: dd.TargetData, asked: list[dict[str, Any]]) -> None:
    target = digits.of_classes([0, 1, 2, 3])
    found = compare(target, ["auto"], **SMALL, memory="2-per-class", baselines=["herding"], tune_auto=True)
    auto, herding = found.rows
    memory = auto.settings["memory"]
    assert (memory["codec"], memory["rule"]) == ("as stored", "herding") and asked == []
    assert (auto.name, auto.final) == ("auto", herding.final)


@pytest.mark.parametrize(
    ("herding", "taken"),
    [
        ((90.0, 70.0, 80.0), "random"),  # the best of the first order alone
        ((90.0, 83.0, 84.0), "herding"),
        ((70.0, 99.0, 99.0), "random"),  # the first order does not ask for more
    ],
)
def test_what_the_first_order_finds_best_must_be_above_random_in_all(
    herding: tuple[float, ...], taken: str, digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = {"random": (80.0, 82.0, 81.0), "herding": herding}

    def run(work: Any, name: str, strategy: Any, setting: Any, seed: int) -> Outcome:
        work.tally.done(name, pieces=work.tasks)
        accuracy = reached[strategy.memory.rule or "random"][seed]
        return Outcome((accuracy,), ((accuracy,),), 1, 0.0)

    monkeypatch.setattr(sys.modules[compare.__module__]._Work, "_run", run)
    made = {rule: Candidate(rule, rule, "as stored", partial(dd.methods.random, ipc=1)) for rule in reached}
    monkeypatch.setattr("ddapps.continual.kinds.candidates", lambda word, spec: made)
    told: list[str] = []
    settings = {**SMALL, "seeds": 3, "memory": "2-per-class", "baselines": [], "progress": told.append}
    found = compare(digits.of_classes([0, 1, 2, 3]), ["auto"], **settings, tune_auto=True)
    assert found.rows[0].settings["memory"]["rule"] == taken and found.rows[0].final == reached[taken]
    # Of two tasks each: two rules, both in all orders where it came to that, and the end.
    assert told[-1].startswith("22 of 22" if herding[0] > 80 else "10 of 10")


def test_ways_to_store_are_tuned_and_those_without_room_are_passed_over(
    digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three ways one stores blank images, and one does not fit."""
    made = {"random (blank)": "blank", "random (large)": "large", "random (good)": "good"}

    def build(words: str) -> dd.Method:
        if words == "large":
            return dd.methods.frepo(ipc=1, preset="cpu")
        method = dd.methods.random(ipc=1)
        return dd.override(method, "factorization.init", "noise") if words == "blank" else method

    candidates = {name: Candidate(name, "random", words, partial(build, words)) for name, words in made.items()}
    monkeypatch.setattr("ddapps.continual.kinds.candidates", lambda word, spec: candidates)
    target = digits.of_classes([0, 1, 2, 3])
    settings = {**SMALL, "seeds": 1, "protocol": Protocol("some", Training(epochs=60))}
    found = compare(target, [], **settings, memory="1-per-class", baselines=["random-codec"])
    assert found.rows[0].settings["memory"]["codec"] == "good"
    assert found.rows[0].at_edge == ()
