"""Comparisons on data whose right answers are known.

A picture's class is the quadrant that is bright.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import ddcore as dd
from ddapps.federated import ServerData, Settings, simulate
from ddapps.federated.baselines import NEVER, Grid, wider_or_narrower
from ddapps.federated.compare import compare
from ddapps.federated.forms import FORMS
from ddapps.federated.outcomes import Comparison, Course, Row
from ddapps.federated.screening import scores
from ddapps.federated.wire import Contribution
from ddcore.errors import OutputExistsError
from ddcore.parts import Split
from tests.federated.conftest import quick
from tests.lean import lean
from tests.stamped import classes_seen, stamped, with_test_labels_shifted

SETTINGS = quick(method="random", network="mlp(width=32)", ipc=3, epochs=40, min_clients=2)
FAST, SLOW = 0.1, 1e-4
"""Learning rates at which weights learn the data in a few rounds, and not at all."""


@pytest.fixture(scope="module")
def target() -> dd.TargetData:
    return stamped([60] * 4, [30] * 4)


def compared(target: dd.TargetData, baselines: list[str], settings: Settings = SETTINGS, **changes: Any) -> Comparison:
    words = {"clients": 2, "alpha": 1.0, "seeds": 1, "rounds": 3, **changes}
    return compare(target, settings, baselines=baselines, **words)


def by_hand(settings: Settings, target: dd.TargetData, split: str = "test") -> Course:
    parts = dd.data.partitions.dirichlet(target, 2, 1.0, seed=settings.seed)
    outcome = simulate(settings, parts, ServerData.of(target, split))
    return Course.of(outcome.history, 0.0)


@pytest.mark.parametrize("baseline", ["fedavg", "fedprox"])
def test_tuning_looks_at_the_validation_split_and_not_at_the_test_split(baseline: str, target: dd.TargetData) -> None:
    """All test labels are wrong: by them, what has learned least is best."""
    grid = Grid((SETTINGS.network,), (2,), (SLOW, FAST), (0.01,))
    for data in (target, with_test_labels_shifted(target)):
        found = compared(data, [baseline], grid=grid)
        assert found.rows[1].settings["distillation.learning-rate"] == FAST
    assert found.rows[0].final == (0.0,)


def test_the_tuned_settings_need_the_fewest_bytes(target: dd.TargetData) -> None:
    """Networks are run again by hand.

    The best is narrower than those of the grid, and not the narrowest that there is.
    """
    grid = Grid(("mlp(width=64)", "mlp(width=128)"), (3, 9), (FAST,), most_local_updates=9)
    row = compared(target, ["fedavg"], grid=grid).rows[1]
    chosen = Settings.from_config(row.settings)
    held = target.with_validation(grid.validation)
    wanted = by_hand(SETTINGS, held, "validation").accuracies[-1]
    needed = {}
    for width in (8, 16, 32, 64):
        tried = replace(chosen, network=f"mlp(width={width})")
        needed[tried.network] = by_hand(tried, held, "validation").bytes_to_reach(wanted) or NEVER
    assert chosen.network == min(needed, key=lambda network: needed[network]) == "mlp(width=16)"
    assert len(set(needed.values())) == 4
    assert chosen.local_updates in (3, 9) and row.to_json()["at_edge"] == ["local_updates"]


def test_where_none_is_as_accurate_the_most_accurate_settings_are_taken(target: dd.TargetData) -> None:
    """In one round at a low learning rate eight updates are better than four, and not yet good."""
    grid = Grid((SETTINGS.network,), (4, 8), (0.01,), rounds=1, most_local_updates=8)
    row = compared(target, ["fedavg"], rounds=1, grid=grid).rows[1]
    chosen, held = Settings.from_config(row.settings), target.with_validation(grid.validation)
    wanted, one, two = (
        by_hand(settings, held, "validation").accuracies[-1]
        for settings in (SETTINGS, replace(chosen, local_updates=4), replace(chosen, local_updates=8))
    )
    assert one < two < wanted
    assert chosen.local_updates == 8


def test_rows_of_weights_end_once_they_are_as_accurate_as_the_first(target: dd.TargetData) -> None:
    """On one partition after several rounds, on the other never."""
    grid = Grid((SETTINGS.network,), (4,), (0.01,))
    first_row = replace(SETTINGS, epochs=20)
    found = compared(target, ["fedavg", "everything"], first_row, seeds=2, rounds=6, grid=grid)
    first, fedavg, everything = found.rows
    whole_data = Settings(form="everything", network=SETTINGS.network, epochs=20)
    assert everything.final == tuple(by_hand(replace(whole_data, seed=seed), target).accuracies[-1] for seed in (0, 1))
    ends = []
    for seed, (wanted, course) in enumerate(zip(first.final, fedavg.courses, strict=True)):
        whole = by_hand(replace(Settings.from_config(fedavg.settings), seed=seed), target)
        reached = [n for n, accuracy in enumerate(whole.accuracies, start=1) if accuracy >= wanted]
        ends.append(reached[0] if reached else 6)
        assert course.accuracies == whole.accuracies[: ends[-1]]
        assert course.total == whole.total[: ends[-1]]
        assert found.bytes_to_reach()["fedavg"][seed] == (whole.total[ends[-1] - 1] if reached else None)
    assert 1 < ends[0] < ends[1] and None in found.bytes_to_reach()["fedavg"]


def test_kept_results_are_of_one_test_split(target: dd.TargetData, tmp_path: Path) -> None:
    compared(target, [], directory=tmp_path)
    with pytest.raises(OutputExistsError, match="held_out differ"):
        compared(with_test_labels_shifted(target), [], directory=tmp_path)


def test_augmentation_is_tried_where_the_first_rows_protocol_has_one() -> None:
    for protocol, tried in (("dsa", (False, True)), ("dc", (False,))):
        axes = Grid().suited_to(replace(SETTINGS, protocol=protocol)).axes("fedavg")
        assert axes["augmented"].values == tried and "proximal_mu" not in axes
    assert "network" not in Grid().axes("ensemble") and "proximal_mu" in Grid().axes("fedprox")


def test_the_network_beyond_a_row_of_networks() -> None:
    small, large = "convnet(width=8)", "convnet(width=16, depth=2)"
    assert wider_or_narrower(small, large) == "convnet(width=4)"
    assert wider_or_narrower(large, small) == "convnet(width=32,depth=2)"
    assert wider_or_narrower("convnet(width=1)", small) is None
    assert wider_or_narrower("mlp(width=256)", "mlp(width=128)") is None
    assert wider_or_narrower("lenet", small) is None


@pytest.mark.parametrize(
    ("form", "method"),
    [("one-shot", "dm"), ("one-shot", "idc"), ("dosfl", "dd"), ("feddm", "dm"), ("fedmk", "dm"), ("everything", "")],
)
def test_labels_in_the_union_match_the_pictures(form: str, method: str, target: dd.TargetData) -> None:
    made = {} if form == "everything" else {"method": lean(method, ipc=2)}
    rounds = 1 if FORMS[form].stays else 2
    parts = dd.data.partitions.dirichlet(target, 3, 0.3, seed=1)
    settings = quick(form=form, network="mlp(width=16)", rounds=rounds, **made)
    union = simulate(settings, parts, ServerData.of(target)).union
    assert union is not None and set(union.counts) == {0, 1, 2, 3}
    images, targets = union.tensors()
    labels = targets.argmax(dim=1) if targets.ndim == 2 else targets
    assert torch.equal(classes_seen(images), labels)


def test_a_client_weighs_by_the_share_of_its_labels_that_are_right_above_chance(target: dd.TargetData) -> None:
    target = target.with_validation(0.3)
    given = []
    for wrong in (0, 10, 30, 40):
        targets = target.train.targets[:40].clone()
        targets[:wrong] = (targets[:wrong] + 1) % 4
        labelled = dd.TargetData("some", target.spec, Split(target.train.inputs[:40], targets))
        summary = dd.distill(labelled, dd.methods.random(ipc=dict(labelled.counts())), seed=0)
        given.append(Contribution(str(wrong), 1, 1, summary, {}, 40))
    found = scores(given, SETTINGS, ServerData.of(target))
    assert found == pytest.approx([1.0, 2 / 3, 0.0, 0.0])


def test_a_row_is_summed_up_as_by_hand() -> None:
    first = Row("first", (Course((50.0,), (100,), (20,), 1.0), Course((60.0,), (140,), (40,), 2.0, 2)))
    other = Row("other", (Course((55.0, 40.0), (90, 180), (90, 180), 4.0, 1), Course((10.0,), (9,), (9,), 8.0)))
    found = Comparison("d", 2, 0.1, (first, other))
    entry = found.to_json()["results"][1]
    assert (entry["accuracy"]["mean"], entry["rounds"], entry["rejected"], entry["seconds"]) == (25.0, 2, 1, 6.0)
    assert (entry["bytes_up"], entry["bytes_down"]) == (round((180 + 9) / 2), round((180 + 9) / 2))
    assert entry["bytes_to_reach_the_first"] == [180, None]
    assert entry["courses"][0] == {"accuracy": [55.0, 40.0], "bytes": [180, 360]}
    assert found.to_json()["results"][0]["bytes_up"] == 120
    assert found.ratios() == {"first": [1.0, 1.0], "other": [1.5]}
    assert "1.5 times, 1 of 2 never" in str(found)
    assert "edge of its grid: network" in str(replace(found, rows=(first, replace(other, at_edge=("network",)))))
