"""Rank correlation: against scipy, against enumeration, and its intervals against simulation."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from ddapps.nas import as_space, better_half, rank_correlation, split_half_tau, tau_difference
from ddapps.nas.compared import agreements_of_some
from ddapps.nas.correlation import rhos, taus
from ddcore.errors import InputDataError, SettingsError
from tests.forked import run


def tied(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    return random.integers(0, n // 2, n).astype(float), random.integers(0, n // 2, n).astype(float)


@pytest.mark.parametrize("seed", range(20))
def test_equals_scipy_with_ties(seed: int) -> None:
    x, y = tied(np.random.default_rng(seed), 6 + 3 * seed)
    found = rank_correlation(x, y, resamples=1)
    tau, rho = kendalltau(x, y), spearmanr(x, y)
    assert abs(found.tau - tau.statistic) <= 1e-12 and abs(found.rho - rho.statistic) <= 1e-12
    whole = np.ones((1, len(x)))
    assert abs(taus(x, y, whole)[0] - tau.statistic) <= 1e-12
    assert abs(rhos(x, y, whole)[0] - rho.statistic) <= 1e-12


def test_resamples_by_weights_equal_scipy_on_repeated_architectures() -> None:
    random = np.random.default_rng(0)
    x, y = tied(random, 14)
    weights = random.multinomial(14, np.full(14, 1 / 14), size=40).astype(float)
    for weight, tau, rho in zip(weights, taus(x, y, weights), rhos(x, y, weights), strict=True):
        drawn = np.repeat(np.arange(14), weight.astype(int))
        assert abs(tau - kendalltau(x[drawn], y[drawn]).statistic) <= 1e-12
        assert abs(rho - spearmanr(x[drawn], y[drawn]).statistic) <= 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_precision_and_regret_are_means_over_ways_to_break_ties(seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 3, 6).astype(float), random.integers(0, 4, 6).astype(float)
    x[:2], y[:2] = (0, 2), (1, 0)
    found = rank_correlation(x, y, top=(1, 2, 4), resamples=1)
    orders = list(itertools.permutations(range(6)))
    for k in (1, 2, 4):
        mine = [sorted(range(6), key=lambda i: (-x[i], order[i]))[:k] for order in orders]
        true = [sorted(range(6), key=lambda i: (-y[i], order[i]))[:k] for order in orders]
        chance_mine = np.array([np.mean([i in top for top in mine]) for i in range(6)])
        chance_true = np.array([np.mean([i in top for top in true]) for i in range(6)])
        assert found.precision_at[k] == pytest.approx(float(chance_mine @ chance_true) / k, abs=1e-12)
        assert found.regret_at[k] == pytest.approx(y.max() - np.mean([y[top].max() for top in mine]), abs=1e-12)


def test_intervals_cover_the_true_value_as_often_as_they_say() -> None:
    random, correlation, trials = np.random.default_rng(0), 0.5, 200
    true_tau = 2 / np.pi * np.arcsin(correlation)
    true_rho = 6 / np.pi * np.arcsin(correlation / 2)
    covered = np.zeros(2)
    for trial in range(trials):
        x = random.standard_normal(30)
        y = correlation * x + np.sqrt(1 - correlation**2) * random.standard_normal(30)
        found = rank_correlation(x, y, resamples=400, seed=trial)
        covered += [
            found.tau_ci95[0] <= true_tau <= found.tau_ci95[1],
            found.rho_ci95[0] <= true_rho <= found.rho_ci95[1],
        ]
    # 95 % of 200, within three standard deviations of a binomial.
    assert (np.abs(covered - 190) <= 3 * np.sqrt(200 * 0.95 * 0.05)).all()


def test_intervals_are_percentiles_over_resampled_architectures() -> None:
    """Drawn by index, each resample compared by scipy; both proxies on the same ones."""
    random, n = np.random.default_rng(4), 9
    truth = random.standard_normal(n)
    one, other = truth + random.standard_normal(n), truth + 2 * random.standard_normal(n)
    drawn = np.random.default_rng(7).multinomial(n, np.full(n, 1 / n), size=50)
    resamples = [np.repeat(np.arange(n), counts) for counts in drawn]
    both = np.array([[kendalltau(x[d], truth[d]).statistic for x in (one, other)] for d in resamples])
    rho = [spearmanr(one[d], truth[d]).statistic for d in resamples]
    found = rank_correlation(one, truth, resamples=50, seed=7)
    assert found.tau_ci95 == pytest.approx(tuple(np.percentile(both[:, 0], [2.5, 97.5])), abs=1e-12)
    assert found.rho_ci95 == pytest.approx(tuple(np.percentile(rho, [2.5, 97.5])), abs=1e-12)
    difference = tau_difference(one, other, truth, resamples=50, seed=7)
    assert difference.ci95 == pytest.approx(tuple(np.percentile(both[:, 0] - both[:, 1], [2.5, 97.5])), abs=1e-12)


def test_paired_difference_covers_and_is_narrower_than_two_intervals() -> None:
    random, trials, covered = np.random.default_rng(1), 200, 0
    for trial in range(trials):
        truth = random.standard_normal(30)
        shared = truth + random.standard_normal(30)
        one, other = shared + 0.3 * random.standard_normal(30), shared + 0.3 * random.standard_normal(30)
        found = tau_difference(one, other, truth, resamples=400, seed=trial)
        covered += found.ci95[0] <= 0 <= found.ci95[1]
    assert abs(covered - 190) <= 3 * np.sqrt(200 * 0.95 * 0.05)
    widths = [np.diff(rank_correlation(x, truth).tau_ci95)[0] for x in (one, other)]
    assert found.ci95[1] - found.ci95[0] < min(widths)
    same = tau_difference(one, one, truth)
    assert same.difference == 0 and same.ci95 == (0, 0)


def test_repetitions_are_averaged() -> None:
    random = np.random.default_rng(2)
    truth = random.standard_normal(12)
    runs = [truth + random.standard_normal(12) for _ in range(3)]
    together, each = rank_correlation(runs, truth), [rank_correlation(run, truth) for run in runs]
    for name in ("tau", "rho"):
        assert getattr(together, name) == pytest.approx(np.mean([getattr(one, name) for one in each]), abs=1e-12)
    assert together.regret_at[1] == pytest.approx(np.mean([one.regret_at[1] for one in each]), abs=1e-12)
    assert together.tau_p == max(one.tau_p for one in each)
    difference = tau_difference(runs, [runs[0]], truth)
    assert difference.difference == pytest.approx(together.tau - each[0].tau, abs=1e-12)


def test_split_halves() -> None:
    random = np.random.default_rng(3)
    table = random.standard_normal((8, 1)) + 0.5 * random.standard_normal((8, 4))
    pairs = [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]
    expected = [kendalltau(table[:, a].mean(axis=1), table[:, b].mean(axis=1)).statistic for a, b in pairs]
    assert split_half_tau(table) == pytest.approx(np.mean(expected), abs=1e-12)
    three = [kendalltau(table[:, i], np.delete(table[:, :3], i, axis=1).mean(axis=1)).statistic for i in range(3)]
    assert split_half_tau(table[:, :3]) == pytest.approx(np.mean(three), abs=1e-12)
    assert split_half_tau(table[:, :1]) is None
    assert split_half_tau(np.ones((5, 2))) is None


@pytest.mark.parametrize(
    ("proxy", "truth", "message"),
    [
        ([1, 2, float("nan")], [1, 2, 3], "proxy score 2 is nan: leave out"),
        ([1, 2, 3], [1, float("inf"), 3], "true score 1 is inf"),
        ([1, 1, 1], [1, 2, 3], "all proxy scores are 1: they rank nothing"),
        ([1, 2, 3], [5, 5, 5], "all true scores are 5"),
        ([1, 2, 3, 4], [1, 2, 3], "4 proxy scores for 3 true ones"),
        ([1, 2], [1, 2], "at least three"),
        ([], [], "at least three"),
    ],
)
def test_scores_that_rank_nothing_are_refused(proxy: list[float], truth: list[float], message: str) -> None:
    with pytest.raises(InputDataError, match=message):
        rank_correlation(proxy, truth)


@pytest.mark.parametrize("top", [(), (4,), (0,), (1.5,)])
def test_an_empty_or_impossible_top_is_refused(top: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError):
        rank_correlation([1, 2, 3], [1, 3, 2], top=top)


def _sample() -> None:
    as_space("convnet").sample(2)
    assert "nni" not in sys.modules


def test_nothing_of_nni_is_imported(tmp_path: Path) -> None:
    run(_sample, said=tmp_path / "said")


def test_the_better_half_is_at_or_above_the_median_and_keeps_its_order() -> None:
    assert better_half([3.0, 1.0, 2.0, 4.0]) == [0, 3]
    assert better_half([3.0, 1.0, 2.0, 4.0, 0.0]) == [0, 2, 3]
    assert better_half([1.0, 1.0, 1.0, 0.0]) == [0, 1, 2], "ties with the middle one are among them"


def test_agreement_among_some_is_that_of_those_alone_and_of_proxies_that_tell_them_apart() -> None:
    """A score that finds the broken architectures says nothing of the good ones."""
    truth = [10.0, 11.0, 12.0, 90.0, 91.0, 92.0]
    finds_broken, orders_the_good = [1.0, 2.0, 3.0, 5.0, 5.0, 5.0], [3.0, 2.0, 1.0, 4.0, 5.0, 6.0]
    backwards = [1.0, 2.0, 3.0, 6.0, 5.0, 4.0]
    scores = {"a": [finds_broken], "b": [orders_the_good], "c": [backwards, orders_the_good]}
    found = agreements_of_some(scores, truth, better_half(truth), (1, 5))
    assert set(found) == {"b", "c"} and found["b"].correlation.n == 3
    assert found["b"].correlation == rank_correlation([4.0, 5.0, 6.0], [90.0, 91.0, 92.0], top=(1,))
    assert found["c"].correlation.taus == pytest.approx((-1.0, 1.0))
    assert found["b"].differences == {
        "c": tau_difference([4.0, 5.0, 6.0], [[6.0, 5.0, 4.0], [4.0, 5.0, 6.0]], [90.0, 91.0, 92.0])
    }
    assert agreements_of_some(scores, truth, [3, 4], (1,)) == {}
    assert agreements_of_some({"a": [finds_broken]}, truth, [3, 4, 5], (1,)) == {}
