"""Rows of every comparison say their mean in the same words, and one run leaves no ``nan``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ddapps.continual.outcomes import Comparison as Continual
from ddapps.continual.outcomes import Outcome
from ddapps.continual.outcomes import Row as Strategy
from ddapps.federated.outcomes import Comparison as Federated
from ddapps.federated.outcomes import Course
from ddapps.federated.outcomes import Row as Way
from ddapps.nas.correlation import rank_correlation
from ddapps.nas.outcomes import Agreement, Ranking
from ddapps.nas.outcomes import Row as Proxy
from ddapps.nas.plot import plot
from ddapps.nas.truth import Truth
from ddapps.privacy.compare import Comparison as Private
from ddapps.privacy.compare import Row as Mechanism
from ddcore.evaluation import EfficiencyCurve, Measured, Report, Result, mean_std_ci95

VALUES = (50.0, 60.0, 64.0)
TRUTH = (10.0, 20.0, 30.0, 40.0, 50.0)


def evaluate(values: Sequence[float]) -> Report:
    result = Result("mlp", {"accuracy": tuple(values), "f1": tuple(values)}, 1.0, 7)
    return Report("digits", "dm", 1, 650, "quick", (result,), {})


def federated(values: Sequence[float]) -> Federated:
    return Federated("digits", 3, 0.1, (Way("dm", tuple(Course((value,), (3,), (2,), 1.0) for value in values)),))


def continual(values: Sequence[float]) -> Continual:
    outcomes = tuple(Outcome((99.0, value), ((99.0,), (90.0, value)), 650, 1.0) for value in values)
    return Continual("digits", 2, 650, "mlp", (Strategy("dm", outcomes),))


def private(values: Sequence[float]) -> Private:
    return Private("digits", 1.0, 1e-5, 1, "quick", "mlp", (Mechanism("psg", 1.0, 650, tuple(values), 1.0),))


def ranking(scores: Sequence[Sequence[float]], truth: Sequence[float] = TRUTH) -> Ranking:
    agreement = Agreement(rank_correlation(scores, truth), {})
    true = Truth("train", tuple((value,) for value in truth), None, None)
    labels = tuple(f"width={i}" for i in range(len(truth)))
    return Ranking(
        "digits", "tiny", labels, true, (Proxy("dm:1(averaged=True)", scores, 1.0, 0.0, agreement, None),), {}, {}
    )


@pytest.mark.parametrize("command", [evaluate, federated, continual, private])
def test_every_row_has_the_common_words(command: Callable[[Sequence[float]], Any]) -> None:
    (row,) = json.loads(json.dumps(command(VALUES).to_json()))["results"]
    mean, std, ci95 = (round(value, 3) for value in mean_std_ci95(VALUES))
    common = {name: row[name] for name in ("score", "mean", "std", "ci95", "runs")}
    assert common == {"score": "accuracy", "mean": mean, "std": std, "ci95": ci95, "runs": 3}
    assert row["name"] in ("mlp", "dm", "psg")
    assert f"{mean:.2f}" in str(command(VALUES)) and f"{ci95:.2f}" in str(command(VALUES))


@pytest.mark.parametrize("command", [evaluate, federated, continual, private])
def test_one_run_has_a_dash_where_nothing_is_defined(command: Callable[[Sequence[float]], Any]) -> None:
    (row,) = command([50.0]).to_json()["results"]
    assert (row["mean"], row["std"], row["ci95"], row["runs"]) == (50.0, None, None, 1)
    assert "nan" not in str(command([50.0])) and " – " in str(command([50.0]))  # noqa: RUF001


def test_proxies_have_the_common_words_over_repetitions() -> None:
    scores = [[1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 5.0, 4.0]]
    found = ranking(scores).to_json()
    taus = [rank_correlation(each, TRUTH).tau for each in scores]
    assert taus == pytest.approx([1.0, 0.8, 0.8])
    wanted = {"name": "dm:1(averaged=True)", **Measured(tuple(taus), "tau").to_json(), "seconds": 1.0}
    assert found["results"] == [wanted]
    assert found["results"][0]["mean"] == round(found["proxies"][0]["tau"], 3) and wanted["runs"] == 3


def test_few_architectures_are_warned_of_and_enough_are_not() -> None:
    four = ranking([[1.0, 2.0, 3.0, 4.0]], TRUTH[:4])
    assert four.rows[0].test.correlation.tau_ci95 == (1.0, 1.0)
    assert four.to_json()["warnings"] == [
        "only 4 architectures are ranked: so few say nothing about a proxy, however large tau is and however narrow its "
        "interval; rank 20 or more"
    ]
    assert str(four).splitlines()[-1] == f"warning: {four.warnings()[0]}"
    ten = [float(value) for value in range(10)]
    assert ranking([ten], ten).to_json()["warnings"] == [] and "warning" not in str(ranking([ten], ten))


def test_a_scatter_plot_has_a_readable_name(tmp_path: Any) -> None:
    assert [path.name for path in plot(ranking([[*TRUTH]]), tmp_path, prefix="nas_")] == ["nas_dm-1-averaged.png"]


def test_means_of_one_run_are_shown_alone() -> None:
    assert (str(Measured((50.0,))), str(Measured(VALUES))) == ("50.00", "58.00 ± 17.91")
    assert str(EfficiencyCurve((1,), (evaluate([50.0]),))).split()[-1] == "–"  # noqa: RUF001
