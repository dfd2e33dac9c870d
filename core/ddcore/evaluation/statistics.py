"""Mean, spread and interval of repeated measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import stdtrit

from ddcore.errors import SettingsError


def mean_std_ci95(values: Sequence[float]) -> tuple[float, float, float]:
    r"""Return the mean, the sample standard deviation s, and half of the 95 % interval of the mean.

    The interval is Student's. Half of its width is

    .. math:: t_{0.975,\,n-1}\; s / \sqrt{n}

    One value defines neither deviation nor interval. Both are then NaN.
    """
    if not len(values):
        raise SettingsError("no value to average")
    n, mean = len(values), float(np.mean(values))
    if n == 1:
        return mean, math.nan, math.nan
    std = float(np.std(values, ddof=1))
    return mean, std, float(stdtrit(n - 1, 0.975)) * std / math.sqrt(n)


def sample_statistics(values: Sequence[float]) -> dict[str, float | int | None]:
    """Return ``mean``, ``std``, ``ci95`` and ``runs`` as JSON data, rounded to three digits.

    What one value leaves undefined is None.
    """
    mean, std, ci95 = mean_std_ci95(values)
    several = len(values) > 1
    return {
        "mean": round(mean, 3),
        "std": round(std, 3) if several else None,
        "ci95": round(ci95, 3) if several else None,
        "runs": len(values),
    }


def welch_difference(first: tuple[float, float, int], second: tuple[float, float, int]) -> tuple[float, float]:
    r"""Return the difference of two means, and half of its 95 % interval.

    Welch's interval does not take the two variances for equal. With
    :math:`v_i = s_i^2 / n_i`, half of its width is

    .. math:: t_{0.975,\,\nu} \sqrt{v_1 + v_2}, \qquad
       \nu = \frac{(v_1 + v_2)^2}{v_1^2 / (n_1 - 1) + v_2^2 / (n_2 - 1)}

    Args:
        first: mean, sample standard deviation s, and number n of the values, two at least.
        second: those that are subtracted.
    """
    (mean, std, n), (other_mean, other_std, m) = first, second
    if min(n, m) < 2:
        raise SettingsError("an interval needs two values of each at least")
    v, w = std**2 / n, other_std**2 / m
    if v + w == 0:
        return mean - other_mean, 0.0
    freedom = (v + w) ** 2 / (v**2 / (n - 1) + w**2 / (m - 1))
    return mean - other_mean, float(stdtrit(freedom, 0.975)) * math.sqrt(v + w)


@dataclass(frozen=True)
class Measured:
    """One score, measured once or several times.

    Every command's JSON says its rows in these words: ``score``, ``mean``, ``std``, ``ci95``,
    ``runs``.

    Attributes:
        values: one per run.
        score: its name.
    """

    values: tuple[float, ...]
    score: str = "accuracy"

    @cached_property
    def _statistics(self) -> tuple[float, float, float]:
        return mean_std_ci95(self.values)

    @property
    def mean(self) -> float:
        """Mean over runs."""
        return self._statistics[0]

    @property
    def std(self) -> float:
        """Sample standard deviation over runs; NaN for one run."""
        return self._statistics[1]

    @property
    def ci95(self) -> float:
        """Half the width of the 95 % interval of the mean (Student's); NaN for one run."""
        return self._statistics[2]

    def to_json(self) -> dict[str, str | float | int | None]:
        """Return the name of the score, and its `sample_statistics`."""
        return {"score": self.score, **sample_statistics(self.values)}

    def __str__(self) -> str:
        return f"{self.mean:.2f}" if math.isnan(self.ci95) else f"{self.mean:.2f} ± {self.ci95:.2f}"
