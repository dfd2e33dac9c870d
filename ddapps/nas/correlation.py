"""How well one ranking predicts another, with intervals; no search library is needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from ddcore.errors import InputDataError, SettingsError
from ddcore.settings import require_counts

Values = NDArray[np.float64]
Interval = tuple[float, float]
Scores = Sequence[float] | Sequence[Sequence[float]]
"""One score per architecture; or repetitions x architectures."""

RESAMPLES, MOST_RUNS = 2000, 12


@dataclass(frozen=True)
class RankCorrelation:
    r"""Agreement of proxy scores with true scores.

    Attributes:
        n: architectures.
        ties: pairs of architectures that the proxy cannot tell apart, and pairs that the truth
            cannot.
        tau, tau_p, tau_ci95: Kendall's :math:`\tau_b`, its p-value against independence, its
            interval.
        rho, rho_p, rho_ci95: Spearman's :math:`\rho`.
        precision_at: k -> share of the k truly best that are among the proxy's k best.
        regret_at: k -> true score of the truly best minus that of the best among the proxy's k
            best, in the truth's units.
        taus: of each repetition. Their mean is ``tau``.
    """

    n: int
    ties: tuple[int, int]
    tau: float
    tau_p: float
    tau_ci95: Interval
    rho: float
    rho_p: float
    rho_ci95: Interval
    precision_at: dict[int, float]
    regret_at: dict[int, float]
    taus: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON data; an interval that is not defined is null."""
        return {
            "n": self.n,
            "ties": list(self.ties),
            "tau": round(self.tau, 4),
            "tau_p": float(f"{self.tau_p:.3g}"),
            "tau_ci95": rounded(self.tau_ci95),
            "rho": round(self.rho, 4),
            "rho_p": float(f"{self.rho_p:.3g}"),
            "rho_ci95": rounded(self.rho_ci95),
            "precision_at": {str(k): round(v, 4) for k, v in self.precision_at.items()},
            "regret_at": {str(k): round(v, 4) for k, v in self.regret_at.items()},
        }


@dataclass(frozen=True)
class TauDifference:
    r"""Difference of two proxies' :math:`\tau_b`, over the same resampled architectures.

    Attributes:
        difference: of the first and the second.
        ci95: its interval.
    """

    difference: float
    ci95: Interval

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON data."""
        return {"difference": round(self.difference, 4), "ci95": rounded(self.ci95)}


def rank_correlation(
    proxy_scores: Scores,
    true_scores: Sequence[float],
    *,
    top: Sequence[int] = (1, 5),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> RankCorrelation:
    r"""Compare a proxy's ranking of architectures with the true one.

    .. math:: \tau_b = \frac{\sum_{i<j} s^x_{ij} s^y_{ij}}
        {\sqrt{\sum_{i<j} (s^x_{ij})^2 \, \sum_{i<j} (s^y_{ij})^2}},
        \qquad s^x_{ij} = \mathrm{sign}(x_i - x_j)

    and :math:`\rho`, Pearson's correlation of the ranks, ties at their mean rank. Higher scores are
    better on both sides. Intervals are percentiles over bootstrap resamples of the architectures:
    they tell how far other architectures of the same space could lead. Ties at the border of the k
    best are broken at random; precision and regret at k are then expectations.

    Args:
        proxy_scores: one per architecture; or several lists, one per repetition. Every number is
            then the mean over repetitions (p-values: the largest), and intervals are those of the
            mean.
        true_scores: of the same architectures, in the same order.
        top: the values of k; larger ones than there are architectures are left out.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        InputDataError: lengths differ, fewer than three architectures, a score that is not finite,
            or scores that are all the same.
        SettingsError: ``top`` is empty, or holds no whole number within 1 .. n.

    Source: Kendall 1945; Efron 1979 (the bootstrap).
    """
    proxies, truth = _repetitions(proxy_scores, "proxy"), require_ranking(true_scores, "true")
    _same_length(proxies, truth)
    within = top_within(top, len(truth))
    draws = _draws(len(truth), resamples, seed)
    tau = [kendalltau(x, truth) for x in proxies]
    rho = [spearmanr(x, truth) for x in proxies]
    return RankCorrelation(
        n=len(truth),
        ties=(round(fmean(_tied_pairs(x) for x in proxies)), _tied_pairs(truth)),
        tau=fmean(float(found.statistic) for found in tau),
        tau_p=max(float(found.pvalue) for found in tau),
        tau_ci95=_percentiles(_mean_taus(proxies, truth, draws)),
        rho=fmean(float(found.statistic) for found in rho),
        rho_p=max(float(found.pvalue) for found in rho),
        rho_ci95=_percentiles(np.mean([rhos(x, truth, draws) for x in proxies], axis=0)),
        precision_at={k: fmean(float(_in_top(x, k) @ _in_top(truth, k)) / k for x in proxies) for k in within},
        regret_at={k: float(truth.max()) - fmean(_best_of_top(x, truth, k) for x in proxies) for k in within},
        taus=tuple(float(found.statistic) for found in tau),
    )


def tau_difference(
    first: Scores,
    second: Scores,
    true_scores: Sequence[float],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> TauDifference:
    r"""Return the difference of two proxies' :math:`\tau_b`, with a paired bootstrap interval.

    Both are computed on the same resampled architectures: the chance of that sample cancels.

    Raises:
        InputDataError: as in `rank_correlation`.
    """
    both = tau_differences({"first": first, "second": second}, true_scores, resamples=resamples, seed=seed)
    return both["first"]["second"]


def tau_differences(
    scores: Mapping[str, Scores],
    true_scores: Sequence[float],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, TauDifference]]:
    r"""Return the difference of every two proxies' :math:`\tau_b` by their names.

    Each is that of `tau_difference`.

    Raises:
        InputDataError: as in `rank_correlation`.
    """
    truth = require_ranking(true_scores, "true")
    draws, nothing_drawn = _draws(len(truth), resamples, seed), np.ones((1, len(truth)))
    found, resampled = {}, {}
    for name, given in scores.items():
        proxies = _repetitions(given, name)
        _same_length(proxies, truth)
        found[name] = float(_mean_taus(proxies, truth, nothing_drawn)[0])
        resampled[name] = _mean_taus(proxies, truth, draws)
    return {
        name: {
            other: TauDifference(found[name] - found[other], _percentiles(resampled[name] - resampled[other]))
            for other in scores
            if other != name
        }
        for name in scores
    }


def better_half(true_scores: Sequence[float]) -> list[int]:
    """Return the places of the half with the highest true scores, in order.

    They are those at or above the median: the middle one and ties with it are among them. A
    ranking there is not helped by architectures that nobody would take.
    """
    median = float(np.median(np.asarray(true_scores, dtype=np.float64)))
    return [place for place, score in enumerate(true_scores) if score >= median]


def split_half_tau(scores: Sequence[Sequence[float]]) -> float | None:
    r"""Return the mean :math:`\tau_b` between the means of two halves of the runs.

    The mean is over all ways of halving them. It is what full training itself reaches when half of
    its runs stand for the other half. Proxies are compared with the mean of all runs, and halves
    are noisier than that. So it is a cautious estimate of what can be reached. It is None for one
    run, and where a half cannot tell any architectures apart.

    Args:
        scores: architectures x runs, at most 12 of them.

    Raises:
        InputDataError: the scores are not such a table of finite numbers.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all() or len(table) < 3 or table.shape[1] > MOST_RUNS:
        raise InputDataError(
            f"scores must be finite, at least 3 architectures x at most {MOST_RUNS} runs, not of shape {table.shape}"
        )
    runs = table.shape[1]
    if runs < 2:
        return None
    half = runs // 2
    found = []
    for members in combinations(range(runs), half):
        if 2 * half == runs and 0 not in members:
            continue  # the other half of a split that was counted
        rest = [run for run in range(runs) if run not in members]
        found.append(float(kendalltau(table[:, members].mean(axis=1), table[:, rest].mean(axis=1)).statistic))
    return None if any(math.isnan(tau) for tau in found) else float(np.mean(found))


def taus(x: Values, y: Values, weights: Values) -> Values:
    r"""Return :math:`\tau_b` of weighted architectures, one value per row of ``weights``.

    The rows are ``resamples x n``.
    """
    sign_x, sign_y = np.sign(x[:, None] - x[None]), np.sign(y[:, None] - y[None])

    def form(matrix: Values) -> Values:
        return np.asarray(np.einsum("bi,bi->b", weights @ matrix, weights))

    below = np.sqrt(form(np.abs(sign_x)) * form(np.abs(sign_y)))
    return _ratio(form(sign_x * sign_y), below)


def rhos(x: Values, y: Values, weights: Values) -> Values:
    r"""Return :math:`\rho` of weighted architectures, one value per row of ``weights``.

    The rows are ``resamples x n``.
    """
    rank_x, rank_y = _weighted_ranks(x, weights), _weighted_ranks(y, weights)
    share = weights / weights.sum(axis=1, keepdims=True)
    centred_x = rank_x - (share * rank_x).sum(axis=1, keepdims=True)
    centred_y = rank_y - (share * rank_y).sum(axis=1, keepdims=True)
    below = np.sqrt((share * centred_x**2).sum(axis=1) * (share * centred_y**2).sum(axis=1))
    return _ratio((share * centred_x * centred_y).sum(axis=1), below)


def _weighted_ranks(values: Values, weights: Values) -> Values:
    """Return the rank of every architecture, but for a constant, in each resample."""
    lower = (values[:, None] < values[None]) + 0.5 * (values[:, None] == values[None])
    return np.asarray(weights @ lower)


def _ratio(above: Values, below: Values) -> Values:
    """Return quotients; NaN where a resample cannot tell any of its architectures apart."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _draws(n: int, resamples: int, seed: int) -> Values:
    """Return how often each architecture is drawn, ``resamples x n``."""
    require_counts(resamples=resamples)
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)


def _percentiles(values: Values) -> Interval:
    kept = values[~np.isnan(values)]
    if not len(kept):
        return math.nan, math.nan
    low, high = np.percentile(kept, [2.5, 97.5])
    return float(low), float(high)


def _tied_pairs(values: Values) -> int:
    _, counts = np.unique(values, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())


def _in_top(values: Values, k: int) -> Values:
    """Return the probability of each to be among the k best, where ties are broken at random."""
    border = np.sort(values)[-k]
    above, tied = values > border, values == border
    return np.where(above, 1.0, np.where(tied, (k - above.sum()) / tied.sum(), 0.0))


def _best_of_top(values: Values, truth: Values, k: int) -> float:
    """Return the expected best true score among the k best by ``values``, ties at random."""
    border = np.sort(values)[-k]
    surely = truth[values > border]
    floor = float(surely.max()) if len(surely) else -math.inf
    tied, picked = np.sort(truth[values == border]), k - len(surely)
    # The j-th lowest of the tied (from 0) is the best of the picked with probability C(j, picked -
    # 1) / C(tied, picked).
    chances = [math.comb(j, picked - 1) / math.comb(len(tied), picked) for j in range(len(tied))]
    return float(sum(chance * max(floor, value) for chance, value in zip(chances, tied, strict=True) if chance))


def _mean_taus(proxies: Sequence[Values], truth: Values, weights: Values) -> Values:
    return np.asarray(np.mean([taus(x, truth, weights) for x in proxies], axis=0))


def top_within(top: Sequence[int], n: int) -> list[int]:
    """Return the values of k that n architectures allow; `SettingsError` if there is none."""
    for k in top:
        require_counts(k=k)
    within = [k for k in sorted(set(top)) if k <= n]
    if not within:
        raise SettingsError(f"top holds no k from 1 to {n}: name at least one, such as top=(1, 5)")
    return within


def _repetitions(scores: Scores, what: str) -> list[Values]:
    rows: list[Any] = list(scores) if isinstance(scores, Sequence | np.ndarray) else [scores]
    repeated = bool(rows) and isinstance(rows[0], Sequence | np.ndarray) and not isinstance(rows[0], str)
    return [require_ranking(row, what) for row in (rows if repeated else [rows])]


def require_ranking(scores: Sequence[float], what: str) -> Values:
    """Return scores as an array, or raise `InputDataError` if they cannot rank."""
    try:
        values = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputDataError(f"{what} scores are not numbers: {error}") from error
    if values.ndim != 1 or len(values) < 3:
        raise InputDataError(f"{what} scores must be a list of at least three numbers, not of shape {values.shape}")
    if not np.isfinite(values).all():
        where = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputDataError(
            f"{what} score {where} is {values[where]}: leave out the architectures that failed, on both sides"
        )
    if (values == values[0]).all():
        raise InputDataError(
            f"all {what} scores are {values[0]:g}: they rank nothing. Train longer, or score on more examples"
        )
    return values


def _same_length(repetitions: Sequence[Values], truth: Values) -> None:
    for scores in repetitions:
        if len(scores) != len(truth):
            raise InputDataError(
                f"{len(scores)} proxy scores for {len(truth)} true ones: give one of each per architecture"
            )


def rounded(interval: Interval) -> list[float | None]:
    """Return an interval as JSON data."""
    return [None if math.isnan(end) else round(end, 4) for end in interval]
