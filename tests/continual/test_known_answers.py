"""Comparisons on data whose right answers are known.

A picture's class is the quadrant that is bright.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from avalanche.evaluation.metrics import Forgetting

import ddcore as dd
from ddapps.cli.main import main
from ddapps.continual import CompositeMemoryBuffer, DistilledBuffer, DistilledMemory, SampleCondensationBuffer
from ddapps.continual.buffer import SummaryBuffer
from ddapps.continual.compare import Grid, compare
from ddapps.continual.kinds import Distilled
from ddapps.continual.outcomes import Outcome, Row
from ddapps.continual.rows import Recall
from ddapps.continual.streams import benchmark, class_incremental
from ddapps.grids import Axis
from ddcore.errors import BudgetError
from ddcore.evaluation import Protocol, TrainingSource, predict, train_one
from ddcore.parts import as_architecture
from ddcore.training import Training
from tests.stamped import classes_seen, stamped, with_test_labels_shifted

NETWORK = "mlp(width=32)"
SHORT = Protocol("short", Training(epochs=40))
SETTINGS: dict[str, Any] = {
    "tasks": 2, "seeds": 3, "network": NETWORK, "protocol": SHORT, "memory": "5-per-class", "device": "cpu",
    "float32": False, "grid": Grid((0.15,), (80,)), "tune_recall": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def target() -> dd.TargetData:
    """Test classes of different sizes: the share of two of them tells which two they are."""
    return stamped([40] * 4, [8, 16, 32, 64])


@pytest.fixture(scope="module")
def rows(target: dd.TargetData) -> dict[str, Row]:
    found = compare(target, [], **SETTINGS, baselines=["random", "reservoir", "class-balanced", "naive"])
    return {row.name: row for row in found.rows}


def test_without_memory_only_the_last_classes_are_known_and_with_any_all_are(
    rows: dict[str, Row], target: dd.TargetData
) -> None:
    assert target.test is not None
    sizes = torch.bincount(target.test.targets)
    shares = []
    for seed in range(3):
        last = class_incremental(target, 2, seed=seed)[-1].spec.classes
        shares.append(100 * float(sizes[list(last)].sum() / sizes.sum()))
    assert len(set(shares)) == 3
    assert rows["naive"].final == pytest.approx(shares)
    for outcome in rows["naive"].outcomes:
        assert outcome.by_experience == ((100.0,), (0.0, 100.0)) and outcome.forgetting == 100.0
    for name in ("random", "reservoir", "class-balanced"):
        assert rows[name].final == (100.0,) * 3
        assert rows[name].to_json()["forgetting"] == 0.0


def test_strategies_that_keep_images_themselves_know_all_classes_in_as_many_bytes(target: dd.TargetData) -> None:
    """DER++ keeps four logits beside each image of 65 bytes, so that 16 fit where 20 do without."""
    settings = {**SETTINGS, "grid": Grid((0.05,), (80,))}
    er_ace, der, naive = compare(target, [], **settings, baselines=["er-ace", "der", "naive"]).rows
    assert er_ace.final == der.final == (100.0,) * 3 and er_ace.to_json()["forgetting"] == 0.0
    assert (er_ace.memory_bytes, der.memory_bytes) == (20 * 65, 16 * (65 + 16))
    assert sum(naive.final) < 3 * 90
    with pytest.raises(BudgetError, match="one real image of each of 4 classes, as der needs"):
        compare(target, [], **{**settings, "memory": "1-per-class"}, baselines=["er-ace", "der"])


def test_orders_are_drawn_from_the_seed(target: dd.TargetData) -> None:
    orders = [[part.spec.classes for part in class_incremental(target, 4, seed=seed)] for seed in range(20)]
    assert all(sorted(order) == [(0,), (1,), (2,), (3,)] for order in orders)
    assert len({tuple(order) for order in orders}) > 10


def test_a_row_of_recall_is_what_its_memory_teaches_a_fresh_network(target: dd.TargetData) -> None:
    """By hand, and of a network that is not perfect yet."""
    few = replace(SETTINGS["protocol"], training=Training(epochs=20))
    settings = {**SETTINGS, "seeds": 2, "seed": 5, "protocol": few}
    (row,) = compare(target, [], **settings, baselines=["random"]).rows
    by_hand = []
    for seed in (5, 6):
        memory = DistilledMemory("random", "325B-per-class", network=NETWORK, seed=seed, device="cpu")
        for part in class_incremental(target, 2, seed=seed):
            memory.observe(part)
        source = TrainingSource.of(memory.summary(), torch.device("cpu"), torch.float32)
        module = as_architecture(NETWORK).build(target.spec.shape, 4, seed=0).module
        network = train_one(as_architecture(module), source, few.training, target.spec, seed=seed, run=1)
        assert target.test is not None
        logits = predict(network, target.test, target.spec, torch.device("cpu"))
        by_hand.append(100 * float((logits.argmax(dim=1) == target.test.targets).double().mean()))
    assert row.final == pytest.approx(by_hand, abs=1e-5)
    assert 0 < min(by_hand) < 100


@pytest.mark.parametrize(("grid", "best"), [(Grid((1e-4, 0.1), (40,)), {"learning_rate": 0.1})])
def test_tuning_looks_at_the_validation_split_and_not_at_the_test_split(
    target: dd.TargetData, grid: Grid, best: dict[str, Any]
) -> None:
    """All test labels are wrong: by them, what has learned least is best."""
    for data in (target, with_test_labels_shifted(target)):
        (row,) = compare(data, [], **{**SETTINGS, "seeds": 1, "grid": grid}, baselines=["reservoir"]).rows
        assert best.items() <= row.settings["training"].items()
    assert row.final == (0.0,)


@pytest.mark.parametrize("baseline", ["random", "jpeg", "gdumb"])
def test_recall_is_tuned_by_as_many_settings_on_the_validation_split(target: dd.TargetData, baseline: str) -> None:
    """All test labels are wrong: by them, what has learned least is best."""
    settings = {**SETTINGS, "seeds": 1, "tune_recall": True, "grid": Grid((1e-4, 0.1), (40,))}
    if baseline == "jpeg":
        settings["memory"] = "400B-per-class"
    heard: list[str] = []
    for data in (target, with_test_labels_shifted(target)):
        (row,) = compare(data, [], **settings, baselines=[baseline], progress=heard.append).rows
        assert (row.settings["learning_rate"], row.settings["updates"]) == (0.1, 40)
    assert row.final == (0.0,)
    tried = {"random": 2, "gdumb": 2, "jpeg": 2 + 5}[baseline]
    assert heard[-1].startswith(f"{2 * (tried + 1)} of")
    if baseline == "jpeg":
        assert row.settings["memory"]["quality"] in (10, 25, 50, 75, 90)


def test_a_recipes_own_steps_are_not_searched(target: dd.TargetData) -> None:
    tried = {"learning_rate": Axis((0.1, 0.2), max), "updates": Axis((1, 2), max)}
    how = Protocol("short", Training(epochs=2))
    assert Recall(Distilled("dm"), how).axes(tried, target.spec) == [tried]
    assert Recall(Distilled("mtt"), how).axes(tried, target.spec) == [{"updates": tried["updates"]}]
    assert Recall(Distilled("dd"), how).axes(tried, target.spec) == [{}]


def test_rows_of_mixtures_and_of_files_keep_within_the_bytes(target: dd.TargetData, tmp_path: Path) -> None:
    seen: list[str] = []
    settings = {**SETTINGS, "seeds": 1, "memory": "400B-per-class", "steps": 1, "mixed": 0.5, "replay": False}
    found = compare(
        target,
        ["dm"],
        **settings,
        baselines=["png", "jpeg", "gdumb"],
        directory=tmp_path,
        each_row=lambda row: seen.append(row.name),
    )
    assert seen == [row.name for row in found.rows] == ["dm", "dm + 50% random", "png", "jpeg", "gdumb"]
    assert all(0 < row.memory_bytes <= 1600 for row in found.rows)
    assert found.rows[-1].memory_bytes == 1600 // 65 * 65
    short = {**settings, "memory": "65B-per-class", "replay": True, "mixed": None}
    heard: list[str] = []
    for word, name in (("frepo", "frepo: "), ("png", "png: ")):
        methods, baselines = ([word], []) if word == "frepo" else ([], [word])
        with pytest.raises(BudgetError, match=f"^{name}"):
            compare(target, methods, **short, baselines=baselines, progress=heard.append)
    assert heard == []


def test_a_grid_goes_on_where_its_best_lies_on_the_edge(target: dd.TargetData) -> None:
    """One experience at a low learning rate.

    More updates are better, as long as there are errors.
    """
    found = {}
    for most in (60, 1600):
        settings = {**SETTINGS, "tasks": 1, "seeds": 1, "grid": Grid((0.002,), (30, 60), most_updates=most)}
        (found[most],) = compare(target, [], **settings, baselines=["naive"]).rows
    assert found[60].settings["training"]["updates"] == 60
    assert found[60].at_edge == ("updates",) and found[60].to_json()["at_edge"] == ["updates"]
    assert found[1600].settings["training"]["updates"] > 60
    assert found[1600].at_edge == () and found[1600].final > found[60].final


@pytest.mark.parametrize(
    "buffer",
    [
        DistilledBuffer("random", 8, network=NETWORK, mirror=False),
        DistilledBuffer("dm", 8, network=NETWORK, steps=5, mirror=False),
        DistilledBuffer("dm", "3-per-class", network=NETWORK, steps=5, mirror=False),
        DistilledBuffer("dm", 8, joint=True, network=NETWORK, steps=5, mirror=False),
        SampleCondensationBuffer(8, network=NETWORK, steps=1, inner=1, mirror=False),
        CompositeMemoryBuffer("900B", network=NETWORK, steps=5, mirror=False),
    ],
    ids=["random", "shrinking", "per class", "joint", "condensation", "composite"],
)
def test_labels_in_memory_match_the_pictures(buffer: SummaryBuffer, target: dd.TargetData) -> None:
    buffer.reader = replace(buffer.reader, normalisation=target.spec.normalisation)
    for experience in benchmark(class_incremental(target, 2, seed=1)).train_stream:
        buffer.post_adapt(None, experience)
        items = [buffer.buffer[index] for index in range(len(buffer.buffer))]
        labels = [int(item[1]) for item in items]
        assert classes_seen(torch.stack([item[0] for item in items])).tolist() == labels
        assert list(buffer.buffer.targets) == labels
        images, targets = buffer.memory.summary().tensors()
        assert torch.equal(classes_seen(images), targets)
    assert set(labels) == {0, 1, 2, 3}


def test_forgetting_is_the_mean_fall_since_an_experience_was_learned() -> None:
    outcome = Outcome((90.0, 65.0, 50.0), ((90.0,), (50.0, 80.0), (30.0, 85.0, 70.0)), 0, 0.0)
    assert outcome.forgetting == pytest.approx(((90 - 30) + (80 - 85)) / 2)
    avalanche = Forgetting()
    for after, accuracies in enumerate(outcome.by_experience):
        for experience, accuracy in enumerate(accuracies):
            avalanche.update(experience, accuracy, initial=experience == after)
    fallen = [avalanche.result_key(experience) for experience in range(2)]
    assert outcome.forgetting == pytest.approx(sum(fallen) / 2)
    assert Outcome((90.0,), ((90.0,),), 0, 0.0).forgetting == 0.0


def test_a_row_is_summed_up_as_by_hand() -> None:
    first = Outcome((90.0, 60.0), ((90.0,), (30.0, 90.0)), 100, 1.0)
    second = Outcome((80.0, 70.0), ((80.0,), (60.0, 80.0)), 300, 2.5)
    entry = Row("r", (first, second)).to_json()
    assert entry["final_accuracy"]["mean"] == 65.0 and entry["final_accuracy"]["std"] == pytest.approx(
        50**0.5, abs=1e-3
    )
    assert entry["average_incremental_accuracy"]["mean"] == 75.0
    assert entry["after_each_experience"] == [85.0, 65.0]
    assert (entry["forgetting"], entry["memory_bytes"], entry["seconds"]) == (40.0, 300, 3.5)


def test_the_command_stops_distillations_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[compare.__module__], "USUAL_GRID", Grid((0.01,), (8,)))
    words = ["continual", "run", "digits", "--tasks", "2", "--memory", "200B-per-class", "--seeds", "1", "--quiet"]
    words += ["--method", "dm", "--baselines", "composite-memory", "--network", "mlp(width=4)", "--protocol", "quick"]
    words += ["--untuned-recall", "--no-float32", "--workers", "1"]
    assert main([*words, "--steps", "20", "--max-seconds", "1e-9", "--out", str(tmp_path)]) == 0
    kept = list(tmp_path.glob("memories/*/experience-*/summary-*"))
    assert {path.parents[1].name for path in kept} >= {"dm-uint8-test-0", "composite-memory-test-0"}
    assert {dd.DataSummary.load(path).record["steps"] for path in kept} == {0}
