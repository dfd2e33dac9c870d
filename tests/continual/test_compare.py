from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import ddcore as dd
from ddapps.cli.main import main
from ddapps.continual.budget import MemoryBudget
from ddapps.continual.compare import Grid, compare
from ddapps.continual.plot import plot
from ddcore.errors import (
    BudgetError,
    CheckpointError,
    InputDataError,
    OutputExistsError,
    SettingsError,
    UnknownNameError,
)
from ddcore.evaluation import Protocol
from ddcore.training import Training
from tests.forked import SERVER, ended, fork
from tests.preloaded import command_without

SMALL = {
    "tasks": 2,
    "seeds": 2,
    "network": "convnet(width=4)",
    "steps": 2,
    "protocol": Protocol("short", Training(epochs=3)),
    "grid": Grid((0.01,), (9,)),
    "tune_recall": False,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def four_classes(digits: dd.TargetData) -> dd.TargetData:
    return digits.of_classes([0, 1, 2, 3])


def test_two_processes_find_what_one_finds(
    four_classes: dd.TargetData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddapps.side_by_side.get_context", lambda name: SERVER)  # which has imported much
    settings = {**SMALL, "memory": "3-per-class", "baselines": ["random-codec"], "float32": False, "replay": False}
    told: list[str] = []
    one = compare(four_classes, [], **settings)
    two = compare(four_classes, [], **settings, workers=2, directory=tmp_path, progress=told.append)
    assert [row.final for row in two.rows] == [row.final for row in one.rows]
    assert two.rows[0].settings == one.rows[0].settings
    # Four codecs and two orders, of two experiences each. What is run elsewhere is counted once.
    ended = [line for line in told if ", 2 of 2, accuracy " in line and ":" in line]
    assert [line.split(":")[0] for line in ended] == [f"{n} of 12 experiences" for n in range(2, 13, 2)]
    assert " left" in ended[0] and " left" not in ended[-1]


def test_the_end_alone_is_the_end_of_the_whole(four_classes: dd.TargetData) -> None:
    settings = {**SMALL, "memory": "3-per-class", "baselines": ["random", "reservoir"]}
    whole, end = (
        compare(four_classes, ["dm"], **settings, float32=False, replay=False, final_only=final_only)
        for final_only in (False, True)
    )
    # Scores in between draw numbers, which change the order of batches in replay.
    assert [row.final for row in end.rows[:2]] == [row.final for row in whole.rows[:2]]
    for row, entry in zip(end.rows, end.to_json()["results"], strict=True):
        assert row.average is None and entry["forgetting"] is None and len(entry["after_each_experience"]) == 1
    assert all(row.average is not None and row.forgetting is not None for row in whole.rows)
    assert "nan" not in str(end) and "None" not in str(end)


def test_rows_are_at_equal_bytes_and_a_killed_comparison_goes_on(four_classes: dd.TargetData, tmp_path: Path) -> None:
    started: list[str] = []
    settings = {**SMALL, "memory": "3-per-class", "baselines": ["random", "reservoir", "class-balanced", "naive"]}
    found = compare(four_classes, ["dm", "frepo"], directory=tmp_path, progress=started.append, **settings)
    rows = {row.name: row for row in found.rows}
    assert list(rows) == [
        "dm", "dm float32", "dm replay", "frepo", "frepo replay", "random", "reservoir", "class-balanced", "naive"
    ]  # fmt: skip
    assert found.memory_limit == 4 * 3 * 65
    for name, row in rows.items():
        # An example of frepo costs its image, its class and ten numbers of labels. One of each
        # class fits, two do not.
        stored = {"dm float32": 4 * 3 * 257, "frepo": 4 * (65 + 40), "frepo replay": 4 * (65 + 40), "naive": 0}.get(
            name, found.memory_limit
        )
        assert row.memory_bytes == stored, name
        entry = row.to_json()
        assert entry["final_accuracy"]["runs"] == 2
        assert entry["after_each_experience"][-1] == pytest.approx(entry["final_accuracy"]["mean"])
        average = sum(entry["after_each_experience"]) / 2
        assert entry["average_incremental_accuracy"]["mean"] == pytest.approx(average, abs=1e-2)
    # Nine rows of two orders, each of two experiences. Grids of one pair are not searched.
    assert started[0] == "0 of 36 experiences; dm, order 0 begins"
    ended = [line for line in started if ", 2 of 2, accuracy " in line]
    assert [line.split(":")[0] for line in ended] == [f"{n} of 36 experiences" for n in range(2, 37, 2)]
    assert ended[0].startswith("2 of 36 experiences: dm, order 0, 2 of 2") and ended[0].endswith(" left")
    assert ended[-1].startswith("36 of 36 experiences: naive, order 1, 2 of 2") and "left" not in ended[-1]
    said = len(started)
    again = compare(four_classes, ["dm", "frepo"], directory=tmp_path, progress=started.append, **settings)
    assert len(started) == said
    assert again.to_json() == found.to_json()
    assert four_classes.test is not None
    blank = replace(four_classes, test=replace(four_classes.test, inputs=four_classes.test.inputs * 0))
    for data, change in ((four_classes, {"memory": "2-per-class"}), (blank, {})):
        with pytest.raises(OutputExistsError, match="another"):
            compare(data, [], directory=tmp_path, **{**settings, **change, "baselines": ["random"]})
    next((tmp_path / "outcomes").glob("random-test-0-*.json")).write_text("{")
    with pytest.raises(CheckpointError, match="delete it"):
        compare(four_classes, [], directory=tmp_path, **settings)
    picture = plot(found, tmp_path / "found.png")
    with Image.open(picture) as image:
        assert image.size == (910, 546)
    with pytest.raises(SettingsError, match="PNG"):
        plot(found, tmp_path / "found.pdf")


def test_memories_for_streams_are_rows_of_replay(four_classes: dd.TargetData, tmp_path: Path) -> None:
    few = four_classes.with_train(torch.arange(60), "few")
    names = ["sample-condensation", "composite-memory"]
    settings = {**SMALL, "seeds": 1, "memory": "600B-per-class", "baselines": names}
    found = compare(few, [], directory=tmp_path, **settings)
    assert [row.name for row in found.rows] == names
    assert all(0 < row.memory_bytes <= 2400 for row in found.rows)
    assert {path.name for path in (tmp_path / "memories").iterdir()} == {
        "composite-memory-test-0",
    }


def test_reporting_on_validation_still_tunes_on_another_part(digits: dd.TargetData) -> None:
    target = digits.of_classes([0, 1, 2, 3]).with_validation(0.3)
    found = compare(
        target, ["random"], **SMALL, memory="3-per-class", baselines=["reservoir"], split="validation", float32=False
    )
    assert [row.name for row in found.rows] == ["random", "random replay", "reservoir"]


def test_a_memory_in_examples_is_the_bytes_of_as_many_real_images(four_classes: dd.TargetData) -> None:
    spec = four_classes.spec
    assert MemoryBudget(7).in_bytes(spec) == MemoryBudget(7 * 65, "bytes")
    assert MemoryBudget.parse("2-per-class").in_bytes(spec) == MemoryBudget(130, "bytes", per_class=True)
    assert MemoryBudget.parse("1kB").in_bytes(spec) == MemoryBudget(1000, "bytes")


def test_where_no_real_image_fits_the_codec_still_does(four_classes: dd.TargetData) -> None:
    """An image of digits takes 65 bytes with its class."""
    settings = {**SMALL, "memory": "40B-per-class", "float32": False, "replay": False, "seeds": 1}
    (row,) = compare(four_classes, [], **settings, baselines=["random-codec"]).rows
    assert 0 < row.to_json()["memory_bytes"] <= 4 * 40
    with pytest.raises(BudgetError, match="as herding needs"):
        compare(four_classes, [], **settings, baselines=["random-codec", "herding"])


def test_what_cannot_be_compared_is_refused_before_anything_runs(four_classes: dd.TargetData) -> None:
    with pytest.raises(UnknownNameError, match="baseline"):
        compare(four_classes, ["dm"], **SMALL, baselines=["reservoire"])
    refused: list[str] = []
    with pytest.raises(UnknownNameError, match="method"):
        compare(four_classes, ["dm", "dmm"], **SMALL, baselines=[], progress=refused.append)
    with pytest.raises(SettingsError, match="same name"):
        compare(four_classes, ["dm", dd.methods.dm(preset="cpu")], **SMALL, progress=refused.append)
    with pytest.raises(InputDataError, match="validation"):
        compare(four_classes, ["dm"], **SMALL, split="validation", progress=refused.append)
    assert refused == []
    with pytest.raises(BudgetError, match="one real image"):
        compare(four_classes, ["dm"], **SMALL, memory=3)


def test_the_command_writes_the_documented_object(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[compare.__module__], "USUAL_GRID", Grid((0.01,), (9,)))
    words = [
        "continual",
        "run",
        "digits",
        "--tasks",
        "2",
        "--method",
        "random",
        "--memory",
        "1-per-class",
        "--seeds",
        "1",
    ]
    words += [
        "--baselines",
        "herding",
        "--network",
        "convnet(width=2)",
        "--protocol",
        "quick",
        "--no-float32",
        "--quiet",
        "--untuned-recall",
        "--workers",
        "1",
    ]
    picture = tmp_path / "after.png"
    assert main([*words, "--json", "-", "--png", str(picture), "--out", str(tmp_path / "work")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in printed["results"]] == ["random", "random replay", "herding"]
    assert set(printed["results"][0]) == {
        "name", "score", "mean", "std", "ci95", "runs", "memory_bytes", "final_accuracy", "average_incremental_accuracy", "forgetting", "after_each_experience",
        "seconds", "settings", "at_edge",
    }  # fmt: skip
    assert set(printed["results"][0]["final_accuracy"]) == {"mean", "std", "ci95", "runs"}
    assert printed["results"][0]["memory_bytes"] == 650
    assert picture.stat().st_size > 1000
    assert main(["continual", "run", "digits", "--tasks", "20"]) == 2
    assert "cannot be split into 20" in capsys.readouterr().err


def test_without_avalanche_the_command_says_what_to_install(tmp_path: Path) -> None:
    said = tmp_path / "said"
    assert ended(fork(command_without, "avalanche", ["continual", "run", "digits"], said=said)) == 1
    assert "pip install -e '.[continual]'" in said.read_text()
    assert said.read_text().count("\n") == 1
