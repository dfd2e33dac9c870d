"""A weighted sum of scores, whose weights make it rank a few trained architectures rightly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ddapps.nas.free import FREE
from ddcore.errors import InputDataError

Values = NDArray[np.float64]
LOGARITHMIC = ("parameters", "flops")
"""Scores that enter by their logarithm: they span orders of magnitude."""
FEATURES = ("accuracy", "loss", "training-loss", *FREE)
"""Scores that a combination may hold: those of one training, and the free ones."""
SMALLEST = 3
"""Fewest architectures that weights are fitted on."""
PRIOR = 0.1
"""How much weights are held to equal ones."""


@dataclass(frozen=True)
class Combination:
    r"""A score that is a weighted sum of others.

    .. math:: f(a) = \sum_k w_k \, (x_k(a) - m_k) / s_k

    Attributes:
        features: names, of `FEATURES`.
        centre, scale: mean :math:`m` and deviation :math:`s` of each over the pilot.
        weights: :math:`w`; 0 for a feature that is the same on all of the pilot.
        pilot: architectures that it was fitted on.
    """

    features: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    pilot: int

    def score(self, values: Mapping[str, float]) -> float:
        """Return the score of an architecture from its features; higher is better."""
        standard = (_row(values, self.features) - np.array(self.centre)) / np.array(self.scale)
        return float(standard @ np.array(self.weights))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Combination:
        """Return what `to_json` wrote.

        Raises:
            ValueError: it is no combination.
        """
        features = tuple(str(name) for name in kept["features"])
        numbers = [tuple(float(value) for value in kept[name]) for name in ("centre", "scale", "weights")]
        sound = all(len(each) == len(features) and np.isfinite(each).all() for each in numbers)
        if not features or set(features) - {*FEATURES} or not sound or min(numbers[1]) <= 0:
            raise ValueError(f"not a combination: {dict(kept)}")
        centre, scale, weights = numbers
        return cls(features, centre, scale, weights, int(kept["pilot"]))


def fit(features: Sequence[str], values: Sequence[Mapping[str, float]], true: Sequence[float]) -> Combination:
    r"""Return the combination that ranks a pilot best.

    .. math:: \min_w \frac{1}{P} \sum_{i, j : y_i > y_j} \log(1 + e^{-w \cdot (x_i - x_j)})
        + \frac{\lambda}{2} \| w - \tfrac{1}{k} \mathbf 1 \|^2

    over the :math:`P` pairs of different true accuracy: a rank loss, which knows nothing of how far
    two architectures are apart. Every feature is expected to be better where it is higher. So
    without evidence the combination is the mean of the standardised features, and a pilot moves it
    from there. It is convex.

    Args:
        features: names, of `FEATURES`.
        values: the features of each architecture of the pilot.
        true: accuracy of each after full training.

    Raises:
        InputDataError: fewer than three architectures, or the same accuracy for all.

    Source: Burges et al. 2005 (RankNet), with a linear score.
    """
    if len(values) < SMALLEST:
        raise InputDataError(f"{len(values)} architectures of the pilot could be trained: weights need {SMALLEST}")
    x, y = np.array([_row(each, features) for each in values]), np.asarray(true, dtype=np.float64)
    better, worse = np.nonzero(y[:, None] > y[None])
    if not len(better):
        raise InputDataError("all architectures of the pilot have one true accuracy: no weights rank them")
    centre, scale = x.mean(axis=0), x.std(axis=0)
    told = scale > 1e-9 * np.maximum(1.0, np.abs(centre))
    scale = np.where(told, scale, 1.0)
    gaps = ((x[better] - x[worse]) / scale) * told
    prior = told / max(1, told.sum())

    def loss(weights: Values) -> tuple[float, Values]:
        margins = gaps @ weights
        slope = -0.5 * (1 - np.tanh(margins / 2))
        away = weights - prior
        value = float(np.logaddexp(0, -margins).mean() + PRIOR / 2 * away @ away)
        return value, slope @ gaps / len(gaps) + PRIOR * away

    found = minimize(loss, prior, jac=True, method="L-BFGS-B", options={"gtol": 1e-10, "ftol": 1e-14})
    weights = np.where(told, found.x, 0.0)
    return Combination(tuple(features), _floats(centre), _floats(scale), _floats(weights), len(values))


def _row(values: Mapping[str, float], features: Sequence[str]) -> Values:
    return np.array([math.log(1 + values[name]) if name in LOGARITHMIC else values[name] for name in features])


def _floats(values: Values) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
