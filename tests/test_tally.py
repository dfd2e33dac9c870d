"""What is said of long work: how much is done, and what time is left."""

from __future__ import annotations

import pytest

import ddcore as dd
from ddapps.grids import choices, combinations, numbers, search
from ddcore.ground import Tally
from ddcore.ground.words import duration


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    time = Clock()
    monkeypatch.setattr("ddcore.ground.tally.time.monotonic", lambda: time.now)
    return time


def test_pieces_are_counted_and_the_time_left_is_that_of_pieces_that_took_time(clock: Clock) -> None:
    told: list[str] = []
    tally = Tally(told.append, 10, "networks")
    tally.found(2)
    clock.now += 60
    tally.done("a")
    clock.now += 20
    tally.done("b")
    tally.expect(2)
    clock.now += 40
    tally.done("c")
    assert told == [
        "3 of 10 networks: a, about 7 min left",
        "4 of 10 networks: b, about 4 min left",
        "5 of 12 networks: c, about 5 min left",
    ]


def test_little_is_said_at_once_but_the_first_piece_the_last_and_what_must_be_said(clock: Clock) -> None:
    told: list[str] = []
    tally = Tally(told.append, 6, "runs")
    for text in "abcde":
        clock.now += 1
        tally.done(text, always=text == "d")
        tally.note("unheard")
    clock.now += 5
    tally.note("client 2 of 3")
    tally.done("f")
    assert [line.partition(",")[0] for line in told] == [
        "1 of 6 runs: a", "4 of 6 runs: d", "5 of 6 runs; client 2 of 3", "6 of 6 runs: f"
    ]  # fmt: skip
    Tally(None, 1, "runs").done("quiet")


def test_times_are_in_words() -> None:
    assert [duration(s) for s in (0.2, 89, 91, 600, 7500)] == ["0.2 s", "89 s", "2 min", "10 min", "2 h 5 min"]


def test_trials_beyond_a_grid_are_told_of_before_they_begin() -> None:
    axes = {"rate": numbers((0.01, 0.1), 1e-3, 1.0), "epochs": numbers((1, 2), 1, 4)}
    seen: list[object] = []
    search(axes, lambda v: seen.append(v) or -v["rate"], lambda: seen.append("beyond"))  # type: ignore[func-returns-value]
    assert combinations(axes) == seen.index("beyond") == 4
    assert seen[4::2] == ["beyond"] * len(seen[4::2]) and len(seen) > 5


@pytest.mark.parametrize("together", [None, 1, 3])
def test_trials_are_told_of_in_waves_before_any_cost_of_theirs_is_asked(together: int | None) -> None:
    axes = {"rate": numbers((0.01, 0.1), 1e-3, 1.0), "epochs": numbers((1, 2), 1, 4)}
    waves: list[list[dict[str, float]]] = []
    asked: list[dict[str, float]] = []

    def ahead(wave: list[dict[str, float]]) -> None:
        assert asked == [values for before in waves for values in before]
        waves.append(wave)

    def cost(values: dict[str, float]) -> float:
        asked.append(values)
        return -values["rate"]

    found = search(axes, cost, ahead=ahead, together=together)
    assert found == search(axes, lambda values: -values["rate"])
    assert [len(wave) for wave in waves[: {None: 1, 1: 4, 3: 2}[together]]] == {None: [4], 1: [1] * 4, 3: [3, 1]}[
        together
    ]
    assert asked == [values for wave in waves for values in wave] and len(asked) > 4


def test_choices_have_no_edge() -> None:
    axes = {"augmented": choices((False, True, False)), "rate": numbers((0.01, 0.1), 0.01, 0.1)}
    best = search(axes, lambda v: -v["rate"] - v["augmented"])
    assert combinations(axes) == 4 and best.values == {"augmented": True, "rate": 0.1}
    assert best.at_edge == ("rate",)


def test_an_evaluation_says_beforehand_how_many_models_it_trains(few_digits: dd.TargetData) -> None:
    summary = dd.distill(few_digits, dd.methods.random(ipc=1), seed=0)
    told: list[str] = []
    dd.evaluate(
        summary,
        few_digits,
        networks=["mlp(width=4)", "sklearn:k-neighbors(n_neighbors=1)"],
        protocol="quick",
        runs=2,
        progress=told.append,
    )
    assert told[0].startswith("4 models will be trained on random of few digits: mlp(width=4) x 2, ")
    assert told[1].startswith("1 of 4 models: mlp(width=4), run 1, accuracy ") and told[1].endswith(" left")
    assert told[-1].startswith("4 of 4 models: ") and "left" not in told[-1]
