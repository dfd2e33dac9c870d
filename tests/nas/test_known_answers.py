"""Comparisons, proxies and searches on data whose right answer is known.

The two held-out splits rank in opposite order.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import ddcore as dd
from benchmarks.nas_search import best_of
from ddapps.nas import (
    Candidate,
    Found,
    FreeEvaluator,
    ProxyDataset,
    ProxyEvaluator,
    Ranking,
    Truth,
    load_table,
    make_proxy,
    rank,
    search,
)
from ddapps.nas import candidates as candidates_module
from ddapps.nas import search as search_function
from ddapps.nas.candidates import Outcome
from ddapps.nas.measurement import Measurement
from ddcore.errors import InputDataError
from tests.nas.conftest import SHORT
from tests.nas.known import ANSWERS, MARGINS, TEST, VALIDATION, Constants, known_data, percent

ACCURACY, LOSS, TRAINING_LOSS = "random:4", "random:4(score=loss)", "random:4(score=training-loss)"


@pytest.fixture(scope="module")
def data() -> dd.TargetData:
    return known_data()


@pytest.fixture(scope="module")
def proxy(data: dd.TargetData) -> dd.DataSummary:
    return dd.distill(data, dd.methods.random(ipc=4))


def ranked(data: dd.TargetData, proxies: str, **changes: object) -> Ranking:
    settings: dict[str, object] = {"sample": 4, "seeds": 2, "protocol": SHORT, "full": SHORT, "workers": 1, "top": (1,)}
    return rank(data, Constants(), proxies, **{**settings, **changes})  # type: ignore[arg-type]


def answers(ranking: Ranking) -> list[int]:
    return [int(label.removeprefix("answer=")) for label in ranking.labels]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_measurement_is_that_of_its_split(data: dd.TargetData, proxy: dd.DataSummary, answer: int) -> None:
    candidate = Constants().candidate({"answer": answer})
    (told,) = ProxyEvaluator(proxy, data, SHORT, also_test=True).measure(candidate)
    assert (told.accuracy, told.test) == (percent(VALIDATION, answer), percent(TEST, answer))
    assert told.training_loss == pytest.approx(0.75 * MARGINS[answer], abs=3)
    assert told.loss == pytest.approx(MARGINS[answer] * (1 - percent(VALIDATION, answer) / 100), abs=3)
    (plain,) = ProxyEvaluator(proxy, data, SHORT).measure(candidate)
    assert np.isnan(plain.test) and (plain.accuracy, plain.loss) == (told.accuracy, told.loss)
    assert ProxyEvaluator(proxy, data, SHORT, split="test")(candidate) == percent(TEST, answer)
    assert Measurement.from_json(told.to_json()) == told
    kept_before = {name: value for name, value in told.to_json().items() if name != "test"}
    assert np.isnan(Measurement.from_json(kept_before).test)


def test_what_is_chosen_is_chosen_on_the_validation_split_and_what_is_reported_is_of_the_test_split(
    data: dd.TargetData,
) -> None:
    found = ranked(data, f"{TRAINING_LOSS},{ACCURACY}")
    assert [list(runs) for runs in found.truth.accuracies] == [[percent(TEST, a)] * 2 for a in answers(found)]
    assert found.truth.validation is not None
    assert [list(runs) for runs in found.truth.validation] == [[percent(VALIDATION, a)] * 2 for a in answers(found)]
    by_loss, by_accuracy = found.rows
    assert by_accuracy.scores == [[percent(VALIDATION, a) for a in answers(found)]] * 2
    assert by_accuracy.validation is not None and by_loss.validation is not None
    for row, split, tau, regret in (
        (by_accuracy, by_accuracy.validation, 1, 0),
        (by_accuracy, by_accuracy.test, -1, 30),
        (by_loss, by_loss.validation, -1, 30),
        (by_loss, by_loss.test, 1, 0),
    ):
        assert split.correlation.tau == pytest.approx(tau), row.name
        assert split.correlation.regret_at == {1: pytest.approx(regret)}, row.name
    assert by_accuracy.validation.differences[TRAINING_LOSS].difference == pytest.approx(2)
    assert by_accuracy.test.differences[TRAINING_LOSS].difference == pytest.approx(-2)
    best = found.best()
    assert best is not None and best.name == ACCURACY
    only = found.best({TRAINING_LOSS})
    assert only is not None and only.name == TRAINING_LOSS
    entry = found.to_json()
    assert entry["best_on_validation"] == ACCURACY and f"best for {ACCURACY}" in str(found)
    row = entry["proxies"][1]
    assert (row["tau"], row["regret_at_1"], row["tau_minus"][TRAINING_LOSS]["difference"]) == (-1, 30, -2)
    assert (row["validation"]["tau"], row["validation"]["regret_at_1"]) == (1, 0)
    assert entry["truth"]["accuracies"]["answer=3"] == [40, 40]
    assert entry["truth"]["validation_accuracies"]["answer=3"] == [10, 10]


def write_table(path: Path, **columns: object) -> Path:
    counts = {"answer": np.arange(4), "accuracy": [percent(TEST, a) for a in ANSWERS], **columns}
    np.savez(path, **counts)  # type: ignore[arg-type]
    return path


def test_a_table_of_the_test_split_alone_chooses_nothing_and_says_so(data: dd.TargetData, tmp_path: Path) -> None:
    found = ranked(data, f"{ACCURACY},{TRAINING_LOSS}", truth=write_table(tmp_path / "t.npz"), seeds=1)
    assert found.best() is None and found.rows[0].validation is None
    assert found.rows[0].test.correlation.tau == pytest.approx(-1)
    entry = found.to_json()
    assert entry["best_on_validation"] is None and entry["proxies"][0]["validation"] is None
    assert entry["truth"]["validation_accuracies"] is None
    assert "t.npz has accuracies on the test split alone" in str(found)


def test_what_is_drawn_from_a_table_or_kept_of_the_truth_is_about_the_same_architectures(tmp_path: Path) -> None:
    both = {"validation_accuracy": [percent(VALIDATION, a) for a in ANSWERS]}
    table = load_table(write_table(tmp_path / "t.npz", **both), Constants(), "known")
    for seed in range(4):
        drawn, truth = table.sample(3, seed)
        chosen = [candidate.choices["answer"] for candidate in drawn]
        assert truth.means == [percent(TEST, a) for a in chosen]
        assert truth.validation_means == [percent(VALIDATION, a) for a in chosen]
    whole = Truth("known", ((1.0,), (2.0,), (3.0,)), (10.0, 20.0, 30.0), ((4.0,), (5.0,), (6.0,)))
    assert whole.of([2, 0]) == Truth("known", ((3.0,), (1.0,)), (30.0, 10.0), ((6.0,), (4.0,)))


def test_a_table_may_know_both_splits(data: dd.TargetData, tmp_path: Path) -> None:
    both = {"validation_accuracy": [percent(VALIDATION, a) for a in ANSWERS]}
    found = ranked(data, f"{TRAINING_LOSS},{ACCURACY}", truth=write_table(tmp_path / "t.npz", **both), seeds=1)
    best = found.best()
    assert best is not None and best.validation is not None
    assert (best.name, best.validation.correlation.tau) == (ACCURACY, pytest.approx(1))
    assert best.test.correlation.tau == pytest.approx(-1)
    for wrong, message in (([10.0] * 3, "differ in length"), ([0.1] * 4, "multiply them by 100")):
        path = write_table(tmp_path / "w.npz", validation_accuracy=wrong)
        with pytest.raises(InputDataError, match=message):
            ranked(data, ACCURACY, truth=path)


def test_seconds_are_per_candidate_and_full_training_is_compared_with_them(
    data: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full trainings take 40 and 60 s, trainings on a proxy 2 and 3 s: by the seed."""

    really = candidates_module.outcome_of

    def outcome(evaluator: ProxyEvaluator | FreeEvaluator, candidate: Candidate) -> Outcome:
        if isinstance(evaluator, FreeEvaluator):
            return really(evaluator, candidate)
        score = float(candidate.choices["answer"])
        first = evaluator.seed in (0, seeds_of_proxies[0])
        seconds = (40.0, 60.0) if evaluator.also_test else (2.0, 3.0)
        return Outcome(Measurement(score, 1.0, 1.0, 1.0, seconds[0 if first else 1], score))

    seeds_of_proxies = [dd.ground.derive_seed(seed, "proxy") for seed in (0, 1)]
    monkeypatch.setattr(candidates_module, "outcome_of", outcome)
    found = ranked(data, "random:4,random:4(averaged=True)")
    single, averaged = found.rows
    assert found.truth.seconds == (50.0,) * 4
    assert (single.seconds, averaged.seconds) == (2.5, 5.0)
    assert (found.speedup(single), found.speedup(averaged)) == (20.0, 10.0)
    entry = found.to_json()
    assert entry["truth"]["seconds_per_candidate"] == 50
    assert [row["speedup"] for row in entry["proxies"]] == [20, 10]
    assert averaged.making_seconds == pytest.approx(2 * single.making_seconds) and single.making_seconds > 0


@pytest.mark.parametrize(
    ("score", "name", "tau"),
    [(None, "random:4(averaged=True)", -1), ("training-loss", "random:4(score=training-loss,averaged=True)", 1)],
)
def test_the_score_of_a_proxy_dataset_is_chosen_on_the_validation_split(
    data: dd.TargetData, tmp_path: Path, score: str | None, name: str, tau: float
) -> None:
    settings: dict[str, object] = {"ipc": 4, "seeds": 1, "sample": 4, "protocol": SHORT, "full": SHORT, "workers": 1}
    made = make_proxy(data, Constants(), "random", score=score, directory=tmp_path, **settings)  # type: ignore[arg-type]
    assert made.score == (score or "accuracy") == ProxyDataset.load(tmp_path).score
    rows = {row["name"]: row for row in made.evidence["proxies"]}
    assert len(rows) == (3 if score is None else 1)
    assert (rows[name]["tau"], rows[name]["validation"]["tau"]) == (tau, -tau)
    assert f"| {name} | {-tau:.1f} | {tau:.1f} |" in made.card()
    before = {key: value for key, value in rows[name].items() if key != "validation"}
    old = replace(made, evidence={**made.evidence, "proxies": [before]})
    assert f"| {name} | unknown | {tau:.1f} |" in old.card()


def searched(data: dd.TargetData, proxy: dd.DataSummary, score: str, directory: Path | None = None) -> Found:
    evaluator = ProxyEvaluator(proxy, data, SHORT, score=score)
    return search(Constants(), evaluator, strategy="random", trials=4, top=2, full=SHORT, directory=directory)


@pytest.mark.parametrize(
    ("score", "finalists"),
    [("accuracy", [(0, 40, 10), (1, 30, 20)]), ("training-loss", [(2, 20, 30), (3, 10, 40)])],
)
def test_a_search_takes_the_best_by_the_proxy_and_orders_them_by_the_validation_split(
    data: dd.TargetData, proxy: dd.DataSummary, score: str, finalists: list[tuple[int, float, float]]
) -> None:
    found = searched(data, proxy, score)
    assert {tried.candidate.choices["answer"] for tried in found.tried} == {*ANSWERS}
    assert [(f.candidate.choices["answer"], f.validation, f.test) for f in found.finalists] == finalists
    scores = {tried.candidate: tried.score for tried in found.tried}
    assert all(finalist.score == scores[finalist.candidate] for finalist in found.finalists)
    if score == "accuracy":
        assert {c.choices["answer"]: s for c, s in scores.items()} == {a: percent(VALIDATION, a) for a in ANSWERS}
    entry = found.to_json()
    assert [(e["choices"]["answer"], e["validation_accuracy"], e["test_accuracy"]) for e in entry["found"]] == finalists


def test_every_candidate_and_every_search_has_seconds_of_its_own(
    data: dd.TargetData, proxy: dd.DataSummary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock whose k-th reading is 2 ** k.

    The j-th stretch between two readings takes 4 ** j seconds.
    """
    readings = (2.0**k for k in itertools.count())
    clock = SimpleNamespace(monotonic=lambda: next(readings))
    monkeypatch.setitem(search_function.__globals__, "time", clock)
    first, second = (searched(data, proxy, score, tmp_path / score) for score in ("accuracy", "training-loss"))
    assert [tried.seconds for tried in first.tried] == [1, 4, 16, 64]
    assert sorted(finalist.seconds for finalist in first.finalists) == [256, 1024]
    assert (first.search_seconds, first.training_seconds) == (85, 1280)
    assert first.full_search_seconds == 4 * 640
    assert [tried.seconds for tried in second.tried] == [4.0**j for j in (6, 7, 8, 9)]
    entry = first.to_json()
    assert entry["seconds"]["search"] == 85 and entry["seconds"]["full_training_of_found"] == 1280
    assert entry["seconds"]["same_search_on_full_data"] == 2560 and entry["speedup"] == round(2560 / 85, 2)
    assert [tried["seconds"] for tried in entry["tried"]] == [1, 4, 16, 64]
    assert first.making_seconds == proxy.record["seconds"]
    again = searched(data, proxy, "accuracy", tmp_path / "accuracy")
    assert again.search_seconds == 85 and json.dumps(again.to_json()) == json.dumps(entry)


def test_the_best_of_k_random_architectures_is_chosen_by_validation() -> None:
    validation, test = [10.0, 40.0, 30.0, 20.0, 25.0], [5.0, 1.0, 4.0, 2.0, 3.0]
    for k in (1, 2, 5):
        found = [test[max(drawn, key=lambda i: validation[i])] for drawn in itertools.combinations(range(5), k)]
        assert best_of(validation, test, k) == pytest.approx(np.mean(found))
