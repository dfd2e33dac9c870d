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

    def statistics(self) -> dict[str, float | int | None]:
        """Return ``mean``, ``std``, ``ci95`` and ``runs`` as JSON data, rounded to three digits.

        What one run leaves undefined is None.
        """
        found = {"mean": self.mean, "std": self.std, "ci95": self.ci95}
        rounded = {name: None if math.isnan(value) else round(value, 3) for name, value in found.items()}
        return {**rounded, "runs": len(self.values)}

    def to_json(self) -> dict[str, str | float | int | None]:
        """Return `statistics`, and before them the name of the score."""
        return {"score": self.score, **self.statistics()}

    def __str__(self) -> str:
        width = "" if math.isnan(self.ci95) else f" ± {self.ci95:.2f}"
        return f"{self.mean:.2f}{width}"
