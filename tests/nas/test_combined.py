"""Combinations: the fit, the pilot that it is made on, and what all that costs."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import ddcore as dd
from ddapps.nas import (
    FREE,
    Candidate,
    Combination,
    CombinedProxy,
    Counted,
    FreeEvaluator,
    Measurement,
    ProxyDataset,
    ProxyEvaluator,
    Ranking,
    fit,
    load_table,
    parse_proxies,
    rank,
    search,
)
from ddapps.nas import candidates as candidates_module
from ddapps.nas.candidates import Outcome
from ddapps.nas.combination import PRIOR
from ddcore.errors import InputDataError, SettingsError, SummaryFormatError, UnknownNameError
from ddcore.ground import derive_seed
from tests.nas.conftest import SHORT, Tiny

NAMES = ("accuracy", "training-loss", "parameters")


def some(count: int, seed: int = 0) -> list[dict[str, float]]:
    random = np.random.default_rng(seed)
    return [
        {
            "accuracy": random.uniform(20, 90),
            "training-loss": -random.uniform(0, 2),
            "parameters": random.integers(9, 9999),
        }
        for _ in range(count)
    ]


def test_the_fit_minimises_the_loss_over_pairs_that_is_written_down() -> None:
    values = some(7)
    true = np.random.default_rng(1).uniform(50, 90, 7)
    found = fit(NAMES, values, true)
    raw = np.array([[v["accuracy"], v["training-loss"], math.log(1 + v["parameters"])] for v in values])
    x = (raw - raw.mean(axis=0)) / raw.std(axis=0)

    def loss(weights: Any) -> float:
        pairs = [(i, j) for i, j in itertools.permutations(range(7), 2) if true[i] > true[j]]
        total = sum(math.log(1 + math.exp(-float(weights @ (x[i] - x[j])))) for i, j in pairs)
        return float(total / len(pairs) + PRIOR / 2 * ((weights - 1 / 3) ** 2).sum())

    slow = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12, "maxiter": 9999})
    np.testing.assert_allclose(found.weights, slow.x, atol=1e-5)
    assert [found.score(v) for v in values] == pytest.approx(list(x @ np.array(found.weights)))


def test_a_pilot_that_one_score_ranks_gives_that_score_the_weight() -> None:
    values = some(30)
    by_size = fit(NAMES, values, [v["parameters"] for v in values])
    assert by_size.weights[2] > 5 * max(abs(by_size.weights[0]), abs(by_size.weights[1]))
    against = fit(NAMES, values, [-v["accuracy"] for v in values])
    assert against.weights[0] < -1
    flat = [{**v, "accuracy": 50.0} for v in values]
    assert fit(NAMES, flat, range(30)).weights[0] == 0


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(InputDataError, match="2 architectures of the pilot could be trained: weights need 3"):
        fit(NAMES, some(2), [1.0, 2.0])
    with pytest.raises(InputDataError, match="one true accuracy"):
        fit(NAMES, some(4), [1.0] * 4)


def test_names_and_what_is_wrong_with_them() -> None:
    text = "combined:5(of=dm:10(pool=20),averaged=True),combined:10(of=random:10,using=accuracy+parameters)"
    proxies = parse_proxies(text)
    assert ",".join(proxy.name for proxy in proxies) == text
    assert parse_proxies("combined:10")[0] == CombinedProxy() == parse_proxies(CombinedProxy().name)[0]
    for wrong, error, message in (
        ("combined:2", SettingsError, "at least 3 architectures"),
        ("combined:5(of=parameters)", SettingsError, "not of the form"),
        ("combined:5(of=random:4(score=loss))", SettingsError, "leave them out"),
        ("combined:5(using=accuracy+speed)", UnknownNameError, "unknown score to combine 'speed'"),
        ("combined", SettingsError, "not of the form"),
    ):
        with pytest.raises(error, match=message):
            parse_proxies(wrong)


def ranked(digits: dd.TargetData, proxies: str, **changes: Any) -> Ranking:
    settings = {"sample": 4, "seeds": 2, "protocol": SHORT, "full": SHORT, "workers": 1, "top": (1,), **changes}
    return rank(digits, Tiny(), proxies, **settings)


def test_every_number_is_that_of_its_parts_and_no_ranked_architecture_is_fitted_on(
    digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, Candidate]] = []
    really = candidates_module.outcome_of

    def noted(evaluator: Any, candidate: Candidate) -> object:
        asked.append((evaluator, candidate))
        return really(evaluator, candidate)

    monkeypatch.setattr(candidates_module, "outcome_of", noted)
    found = ranked(digits, "combined:3(of=random:4),random:4")
    row = found.rows[0]
    sample = Tiny().sample(4)
    for place, seed in enumerate((0, 1)):
        pilot = Tiny().others(3, seed, sample)
        assert len({*pilot, *sample}) == 7
        summary = dd.distill(digits, dd.methods.random(ipc=4, preset="cpu"), seed=seed)
        own = derive_seed(seed, "proxy")
        evaluator = ProxyEvaluator(summary, digits, SHORT, seed=own)

        def features(candidate: Candidate, evaluator: ProxyEvaluator = evaluator, own: int = own) -> dict[str, float]:
            (measured,) = evaluator.measure(candidate)
            trained = {kind: measured.score(kind) for kind in ("accuracy", "loss", "training-loss")}
            seeds = {"parameters": 0, "flops": 0, "naswot": own}
            return trained | {kind: FreeEvaluator(kind, digits, seeds[kind])(candidate) for kind in FREE}

        full = ProxyEvaluator(digits, digits, SHORT, seed=derive_seed(seed, "pilot"))
        expected = fit(row.combinations[place].features, [features(c) for c in pilot], [full(c) for c in pilot])
        assert row.combinations[place] == expected
        assert row.scores[place] == pytest.approx([expected.score(features(c)) for c in sample])
    pilots = {c for seed in (0, 1) for c in Tiny().others(3, seed, sample)}
    tested = {candidate for evaluator, candidate in asked if getattr(evaluator, "also_test", False)}
    assert tested == {*sample} and not pilots & tested, "the test split of the pilot is never looked at"


def timed(candidates: list[Candidate], full_training: float) -> Callable[[Any, Candidate], Outcome]:
    """Return outcomes that take as long as is said: counting .25 s, training on a proxy 2 s."""
    places = {candidate: place for place, candidate in enumerate(candidates, start=1)}

    def outcome(evaluator: Any, candidate: Candidate) -> Outcome:
        score = float(places[candidate])
        if isinstance(evaluator, FreeEvaluator):
            return Outcome(Counted(score, 0.25))
        seconds = full_training if isinstance(evaluator.proxies[0], dd.TargetData) else 2.0
        return Outcome(Measurement(score, 1 / score, 1 / score, score, seconds, score))

    return outcome


def test_the_whole_cost_is_that_of_making_pilot_and_ranking(
    digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full training takes 40 s, training on a proxy 2 s, counting .25 s each."""
    monkeypatch.setattr(candidates_module, "outcome_of", timed(Tiny().sample(8), full_training=40.0))
    found = ranked(digits, "random:4,combined:3(of=random:4),combined:3(of=random:4,averaged=True)", equal_cost=True)
    single, one, averaged = found.rows[:3]
    assert (single.seconds, single.pilot_seconds) == (2, 0)
    assert (one.seconds, one.pilot_seconds) == (2.75, 3 * (40 + 2.75))
    assert (averaged.seconds, averaged.pilot_seconds) == (4.75, 3 * (40 + 4.75))
    assert one.whole_seconds == pytest.approx(one.making_seconds + one.pilot_seconds + 4 * 2.75)
    entry = next(row for row in found.to_json()["proxies"] if row["name"] == one.name)
    assert entry["pilot_seconds"] == 128.25 and entry["whole_seconds"] == round(one.whole_seconds, 2)
    assert entry["whole_seconds_per_candidate"] == round(one.whole_seconds / 4, 3)
    # 1 + 128.25 / 11 = 12.66 times the images: the smallest class has fewer, so that epochs follow.
    most = min(digits.counts().values())
    share = 1 + (one.making_seconds + 128.25) / 11
    images = min(most, round(4 * share))
    epochs = round(3 * 4 * share / images)
    assert images == most and epochs > 3
    rivals = [f"random:{images}(epochs={epochs})", f"random:{images}(epochs={epochs},score=training-loss)"]
    assert found.equal_cost[one.name] == tuple(rivals) and single.name not in found.equal_cost
    assert {*rivals} <= {row.name for row in found.rows} and rivals[0] in one.test.differences
    assert f"at the whole cost of {one.name}: {rivals[0]}" in str(found)


def test_a_rival_of_a_proxy_with_its_own_epochs_is_trained_as_briefly(
    digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made in far less than the 8 s of training: so its rival is as many random images."""
    monkeypatch.setattr(candidates_module, "outcome_of", timed(Tiny().sample(4), full_training=2.0))
    found = ranked(digits, "herding:4(epochs=1)", seeds=1, equal_cost=True, protocol=SHORT.with_epochs(3))
    assert found.equal_cost == {"herding:4(epochs=1)": ("random:4(epochs=1)", "random:4(epochs=1,score=training-loss)")}


def test_a_pilot_of_a_table_is_of_other_classes_and_hides_its_cost(digits: dd.TargetData, tmp_path: Path) -> None:
    rows = Tiny().sample(8)
    columns = {name: np.array([c.choices[name] for c in rows]) for name in Tiny().values()}
    marks = np.array([0, 0, 1, 2, 3, 4, 5, 6])
    np.savez(tmp_path / "t.npz", accuracy=np.linspace(50, 85, 8), iso_class=marks, **columns)
    table = load_table(tmp_path / "t.npz", Tiny(), "digits")
    known = dict(zip(rows, np.linspace(50, 85, 8), strict=True))
    for seed in range(5):
        ranked_ones, _ = table.sample(4, seed)
        drawn, accuracies = table.others(3, seed, ranked_ones)
        classes = [int(marks[rows.index(c)]) for c in (*ranked_ones, *drawn)]
        assert len(set(classes)) == 7 and accuracies == [known[c] for c in drawn]
    with pytest.raises(SettingsError, match="has 3 architectures that differ from the 4 that are ranked"):
        table.others(4, 0, ranked_ones)
    found = ranked(digits, "combined:3(of=random:4)", truth=table, seeds=1, equal_cost=True)
    assert found.rows[0].combinations[0].pilot == 3 and math.isnan(found.rows[0].whole_seconds)
    assert found.to_json()["proxies"][0]["whole_seconds"] is None and not found.equal_cost
    assert "unknown" in str(found)


def test_a_space_that_is_too_small_for_a_pilot_says_so_before_anything_is_distilled(
    digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dd, "distill", lambda *_, **__: pytest.fail("a summary was made for nothing"))
    with pytest.raises(SettingsError, match="tiny has 8 architectures: 5 more than 4 cannot be drawn"):
        ranked(digits, "random:4,combined:5(of=random:4)")


def test_a_combination_is_kept_with_its_proxy_and_scores_alone(digits: dd.TargetData, tmp_path: Path) -> None:
    summaries = tuple(dd.distill(digits, dd.methods.random(ipc=4), seed=seed) for seed in (0, 1))
    names = ("accuracy", "loss", "training-loss", *FREE)
    combination = Combination(
        names, (50.0, -2.0, -1.0, 5.0, 9.0, 100.0), (9.0, 1.0, 0.5, 1.0, 2.0, 30.0), (1, 2, 3, 4, 5, 6), 10
    )
    made = ProxyDataset(summaries, "tiny", SHORT, "combined", combination=combination)
    loaded = ProxyDataset.load(made.save(tmp_path / "proxy"))
    assert loaded.combination == combination
    candidate = Tiny().sample(1)[0]
    measured = ProxyEvaluator(summaries, digits, SHORT).measure(candidate)
    values = {kind: (measured[0].score(kind) + measured[1].score(kind)) / 2 for kind in names[:3]}
    values |= {kind: FreeEvaluator(kind, digits)(candidate) for kind in FREE}
    assert loaded.evaluator(digits)(candidate) == pytest.approx(combination.score(values))
    assert "fitted on 10 other architectures: accuracy +1.00" in made.card()
    found = search(Tiny(), loaded.evaluator(digits), strategy="random", trials=3, top=1, full=SHORT)
    scores = {tried.candidate: tried.score for tried in found.tried}
    assert scores == {each: loaded.evaluator(digits)(each) for each in scores}
    assert found.finalists[0].validation == ProxyEvaluator(digits, digits, SHORT)(found.finalists[0].candidate)
    with pytest.raises(UnknownNameError):
        ProxyDataset(summaries, "tiny", SHORT, "accuracy", combination=combination)
    file = tmp_path / "proxy" / "proxy.json"
    facts = json.loads(file.read_text())
    for damage in ({"scale": [0.0] * 6}, {"features": ["speed"] * 6}, {"weights": [1.0]}, {"pilot": None}):
        file.write_text(json.dumps({**facts, "combination": {**facts["combination"], **damage}}))
        with pytest.raises(SummaryFormatError):
            ProxyDataset.load(tmp_path / "proxy")
