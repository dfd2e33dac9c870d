"""The comparison, its picture and its command."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import ddcore as dd
from ddapps.cli.main import main
from ddapps.federated import Settings, simulate
from ddapps.federated.baselines import (
    IMAGES,
    Grid,
    ensemble_within,
    largest,
    sending,
    sent_bytes,
    smaller,
    within,
)
from ddapps.federated.compare import compare
from ddapps.federated.outcomes import Comparison, Course, Row
from ddapps.federated.plot import plot
from ddapps.federated.server_data import ServerData
from ddcore.errors import NoReplyError, OutputExistsError, SettingsError, UnknownNameError, UnsupportedError
from tests.federated.conftest import quick
from tests.forked import SERVER

TINY = Grid(("convnet(width=2)",), (1,), (0.1,), (0.01,), rounds=1)
SETTINGS = quick(method="dm", min_clients=2)


def test_rows_are_runs_on_the_same_partitions(digits: dd.TargetData, tmp_path: Path) -> None:
    baselines = ["random", "fedavg", "fedprox-8bit"]
    told: list[str] = []
    found = compare(
        digits, SETTINGS, clients=3, alpha=0.5, baselines=baselines, seeds=2, rounds=2, grid=TINY, directory=tmp_path,
        progress=told.append,
    )  # fmt: skip
    assert [row.name for row in found.rows] == ["dm", *baselines]
    assert told[0].endswith(" runs; dm, partition 0, test split: client 1 of 3")
    done, _, total, *_ = told[-1].split()
    assert done == total, "the runs that were told of beforehand are those that were made, or found"
    by_hand = [
        simulate(
            replace(SETTINGS, seed=seed), dd.data.partitions.dirichlet(digits, 3, 0.5, seed=seed), ServerData.of(digits)
        )
        for seed in (0, 1)
    ]
    assert found.rows[0].final == tuple(outcome.accuracy for outcome in by_hand)
    assert [course.total[-1] for course in found.rows[0].courses] == [o.bytes_up + o.bytes_down for o in by_hand]
    limits = [course.total[-1] for course in found.rows[0].courses]
    _, chosen, fedavg, fedprox = found.rows
    for course, limit, ipc, seed in zip(chosen.courses, limits, chosen.settings["ipc"], (0, 1), strict=True):
        assert course.total[-1] <= limit
        parts = dd.data.partitions.dirichlet(digits, 3, 0.5, seed=seed)
        assert sent_bytes(replace(SETTINGS, method="random", ipc=ipc + 1, seed=seed), parts) > limit
    for row, numbers in (
        (fedavg, {}),
        (fedprox, {"distillation.proximal-mu": 0.01, "distillation.transport": "uint8"}),
    ):
        assert row.settings["distillation.network"] == "convnet(width=2)"
        assert Settings.from_config({**row.settings, **numbers}) == Settings.from_config(row.settings)
    assert fedprox.courses[0].bytes_up[0] < fedavg.courses[0].bytes_up[0]
    picture = plot(found, tmp_path / "a.png")
    assert picture.read_bytes()[:4] == b"\x89PNG"
    again = compare(
        digits, SETTINGS, clients=3, alpha=0.5, baselines=baselines, seeds=2, rounds=2, grid=TINY, directory=tmp_path,
        progress=lambda text: pytest.fail(f"{text} was run again"),
    )  # fmt: skip
    assert again == found
    with pytest.raises(OutputExistsError, match="settings differ"):
        compare(digits, replace(SETTINGS, ipc=1), clients=3, alpha=0.5, baselines=[], seeds=1, directory=tmp_path)


def test_auto_can_be_tuned_by_whole_runs(digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it takes is the best of the runs, made again by hand."""
    digits = digits.with_train(torch.arange(300), "digits")
    every = dd.portfolio(digits.spec, joint=False)
    few = {
        name: every[name]
        for name in ("random (8 px, 2 levels)", "random (8 px, 16 levels)", "herding (8 px, 2 levels)")
    }
    monkeypatch.setattr(dd, "portfolio", lambda spec, joint: few)
    first = replace(SETTINGS, method="auto", bytes="600", ipc=10)
    told: list[str] = []
    found = compare(digits, first, clients=2, alpha=5.0, baselines=[], seeds=1, tune_auto=True, progress=told.append)
    done, _, total, *_ = told[-1].split()
    assert done == total
    choice = found.rows[0].settings["choice"]
    held = digits.with_validation(0.2)
    parts = dd.data.partitions.dirichlet(held, 2, 5.0, seed=0)
    scores = {}
    for name in choice["scores"]:
        settings = replace(first, method=every[name].build(), clients=2)
        scores[name] = simulate(settings, parts, ServerData.of(held, "validation")).accuracy
    assert choice["scores"] == scores and set(scores) >= {"random (8 px, 2 levels)", "random (8 px, 16 levels)"}
    assert choice["score"] == scores[choice["chosen"]] == max(scores.values())


@pytest.mark.parametrize(
    ("herding", "taken"),
    [
        ((90.0, 70.0, 80.0), "random (8 px, 2 levels)"),  # the best of the first partition alone
        ((90.0, 83.0, 84.0), "herding (8 px, 2 levels)"),
    ],
)
def test_what_the_first_partition_finds_best_must_be_above_random_on_all(
    herding: tuple[float, ...], taken: str, digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = {"herding (8 px, 2 levels)": herding, "random (8 px, 2 levels)": (80.0, 82.0, 81.0)}

    def course(work: Any, name: str, settings: Settings, *ends: Any) -> Course:
        work.tally.done(name)
        rule = name.removeprefix("auto as ")
        return Course((reached.get(rule, (50.0,) * 3)[settings.seed],), (1,), (1,), 0.0, 0)

    monkeypatch.setattr(sys.modules[compare.__module__]._Work, "course", course)
    every = dd.portfolio(digits.spec, joint=False)
    monkeypatch.setattr(dd, "portfolio", lambda spec, joint: {name: every[name] for name in reached})
    told: list[str] = []
    first = replace(SETTINGS, method="auto", bytes="600", ipc=10)
    found = compare(
        digits, first, clients=2, alpha=5.0, baselines=[], seeds=3, tune_auto=True, progress=told.append
    )  # fmt: skip
    assert found.rows[0].settings["choice"]["chosen"] == taken
    done, _, total, *_ = told[-1].split()
    assert done == total


def test_of_many_runs_flower_logs_no_page_each(digits: dd.TargetData, caplog: pytest.LogCaptureFixture) -> None:
    flower = logging.getLogger("flwr")
    flower.setLevel(logging.INFO)
    flower.addHandler(caplog.handler)
    try:
        simulate(SETTINGS, dd.data.partitions.dirichlet(digits, 2, 5.0, seed=0), ServerData.of(digits))
        assert caplog.records
        caplog.clear()
        compare(digits, SETTINGS, clients=2, alpha=5.0, baselines=[], seeds=1)
        assert not caplog.records and flower.level == logging.INFO
    finally:
        flower.removeHandler(caplog.handler)


def test_two_processes_find_what_one_finds(
    digits: dd.TargetData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddapps.side_by_side.get_context", lambda name: SERVER)  # which has imported much
    digits = digits.with_train(torch.arange(300), "digits")
    settings: dict[str, Any] = {"clients": 2, "alpha": 5.0, "baselines": ["random", "fedavg"], "seeds": 2, "rounds": 2}
    grid = Grid(networks=("convnet(width=2)",), local_updates=(3, 6, 12), learning_rates=(0.1, 0.2), rounds=2)
    told: list[str] = []
    two = compare(digits, SETTINGS, **settings, grid=grid, workers=2, directory=tmp_path, progress=told.append)
    counts = [int(line.split(" of ")[0]) for line in told if " runs: " in line]
    # Three rows on two partitions, the first row's tuning, six trials or more: each counts once.
    assert counts == list(range(1, len(counts) + 1)) and len(counts) >= 13
    assert told[-1].startswith(f"{len(counts)} of {len(counts)} runs: ")
    told.clear()
    again = compare(digits, SETTINGS, **settings, grid=grid, directory=tmp_path, progress=told.append)
    assert again == two and not told, "what is kept does not depend on how many processes made it"
    one = compare(digits, SETTINGS, **settings, grid=grid)
    assert [row.final for row in two.rows] == [row.final for row in one.rows]
    assert [row.settings for row in two.rows] == [row.settings for row in one.rows]


def test_rows_of_equal_bytes_are_tuned_on_a_validation_split(digits: dd.TargetData) -> None:
    """Each choice is made again by hand; nothing goes beyond the first row's bytes."""
    digits = digits.with_train(torch.arange(300), "digits")
    first = replace(SETTINGS, protocol="dsa", ipc=4)
    grid = Grid(local_updates=(6,), learning_rates=(0.1,))
    given = replace(dd.methods.herding(ipc=1), name="given")
    found = compare(
        digits, first, clients=2, alpha=5.0, baselines=["random-smaller", "ensemble", given], seeds=1, grid=grid
    )
    limit = found.rows[0].courses[0].total[-1]
    assert [row.name for row in found.rows[1:]] == ["random-smaller", "ensemble", "given"]
    assert all(limit / 2 < row.courses[0].total[-1] <= limit for row in found.rows[1:])
    held = digits.with_validation(0.2)
    parts = dd.data.partitions.dirichlet(held, 2, 5.0, seed=0)
    image_settings = sending(first, IMAGES, method="random")
    tried = [within(each, parts, limit) for each in smaller(image_settings, "random", held.spec)]
    assert len(tried) == 4 and tried[0].ipc > tried[3].ipc  # 2 levels, 3, 4 and 16
    accuracies = [simulate(each, parts, ServerData.of(held, "validation")).accuracy for each in tried]
    best = tried[accuracies.index(max(accuracies))]
    assert found.rows[1].settings["factorization"] == dd.describe(best.method.factorization)  # type: ignore[union-attr]
    chosen = [
        simulate(
            replace(best, ipc=found.rows[1].settings["ipc"][0]),
            dd.data.partitions.dirichlet(digits, 2, 5.0, seed=0),
            ServerData.of(digits),
        )
    ]
    assert found.rows[1].final == (chosen[0].accuracy,)
    assert set(found.rows[2].to_json()["settings"]) >= {"network", "distillation.form"}
    with pytest.raises(UnsupportedError, match="lenet has no width"):
        ensemble_within(replace(first, network="lenet"), parts, limit)


def test_baselines_share_what_they_can_use(digits: dd.TargetData) -> None:
    """A byte transport, a budget in bytes and grey levels are the first row's alone."""
    settings = quick(form="feddm", transport="uint8", bytes="1kB", levels=16, min_clients=2)
    found = compare(digits, settings, clients=2, alpha=5.0, baselines=["random", "everything"], seeds=1)
    everything = found.rows[2]
    assert everything.courses[0].bytes_up[0] > 5 * found.rows[1].courses[0].bytes_up[0]


def test_where_rounds_sample_clients_baselines_hear_as_many_and_have_all_the_bytes(digits: dd.TargetData) -> None:
    """Two rounds of one client in four: one round of two, none of which is twice as large."""
    digits = digits.with_train(torch.arange(300), "digits")
    first = quick(method="random", ipc=4, fraction=0.25, rounds=2)
    found = compare(digits, first, clients=4, alpha=5.0, baselines=["herding", "ensemble"], seeds=1, grid=TINY)
    limit = found.rows[0].courses[0].total[-1]
    for row in found.rows[1:]:
        assert 0.7 * limit < row.courses[0].total[-1] <= limit, row.name
        assert row.settings["distillation.fraction"] == 0.5
    assert 3 <= found.rows[1].settings["ipc"][0] <= 5


def test_a_form_of_weights_is_no_first_row(digits: dd.TargetData) -> None:
    """It would be named after a method that it does not use."""
    for form in ("fedavg", "ensemble"):
        with pytest.raises(UnsupportedError, match=f"form '{form}' sends no summaries .* among the baselines"):
            compare(digits, quick(form=form), baselines=[])


def test_a_comparison_without_a_result_says_why(digits: dd.TargetData) -> None:
    with pytest.raises(
        NoReplyError, match=r"dm, partition 0, test split: no reply has counted.*the client failed: BudgetError"
    ):
        compare(digits, replace(SETTINGS, bytes="50B"), clients=2, alpha=5.0, baselines=[], seeds=1)
    with pytest.raises(UnknownNameError, match="unknown method 'dmm'"):
        compare(digits, SETTINGS, variants={"dmm": replace(SETTINGS, method="dmm")}, baselines=[])


def test_bytes_to_reach_are_those_of_the_first_round_that_does() -> None:
    course = Course.of(
        [
            {"round": 1, "accuracy": None, "bytes_up": 5, "bytes_down": 1},
            {"round": 2, "accuracy": 60.0, "bytes_up": 7, "bytes_down": 2},
            {"round": 3, "accuracy": 55.0, "bytes_up": 1, "bytes_down": 1},
        ],
        seconds=1.0,
    )
    assert course.accuracies == (0.0, 60.0, 55.0) and course.total == (6, 15, 17)
    assert [course.bytes_to_reach(a) for a in (0.0, 58.0, 60.0, 61.0)] == [6, 15, 15, None]
    first = Row("first", (Course((60.0,), (3,), (2,), 1.0),))
    found = Comparison("d", 2, 0.1, (first, Row("other", (course,))))
    assert found.bytes_to_reach() == {"first": [5], "other": [15]}
    assert "3.0 times" in str(found)


def test_the_largest_size_is_found() -> None:
    for limit in (1, 2, 3, 7, 64, 100):
        assert largest(lambda n: n, limit) == max(1, limit)
    assert largest(lambda n: 10 * n, 5) == 1


def test_unknown_names_are_refused(digits: dd.TargetData) -> None:
    with pytest.raises(UnknownNameError, match="baseline 'fedsgd'"):
        compare(digits, SETTINGS, baselines=["fedsgd"])
    with pytest.raises(SettingsError, match="same name"):
        compare(digits, SETTINGS, baselines=["random", "random"])


def test_the_command_writes_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["federated", "run", "digits", "--clients", "3", "--alpha", "0.5", "--method", "dm,random", "--ipc", "1"]
    words += ["--steps", "1", "--network", "convnet(width=4)", "--baselines", "herding", "--seeds", "2", "--quiet"]
    words += ["--set", "epochs=2", "--set", "levels=16", "--png", str(tmp_path / "a.png"), "--workers", "1"]
    words += ["--out", str(tmp_path / "kept")]
    assert main([*words, "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in found["results"]] == ["dm", "random", "herding"]
    for row in found["results"]:
        assert {"name", "rounds", "accuracy", "bytes_up", "bytes_down", "seconds"} <= set(row)
        assert set(row["accuracy"]) >= {"mean", "std", "ci95", "runs"}
        assert row["settings"]["distillation.epochs"] == 2 and "distillation.updates" not in row["settings"]
        assert row["accuracy"]["runs"] == 2 and row["rounds"] == 1 and row["bytes_up"] > row["bytes_down"] > 0
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert main([*words, "--json", str(tmp_path / "a.json")]) == 0
    assert "bytes to reach the first row" in capsys.readouterr().out
    for bad, message in (
        (["--form", "fedsgd"], "unknown form 'fedsgd'"),
        (["--set", "methd=dm"], "distillation.methd is no setting"),
        (["--png", "a.jpg"], "ends in .png"),
    ):
        assert main([*words, *bad]) == 2
        assert message in capsys.readouterr().err
