"""Rounded normal deviates have the distribution that they claim, to the last one."""

from __future__ import annotations

from collections.abc import Iterator

import mpmath
import numpy as np
import pytest
from scipy.stats import chisquare, kstest, norm

from ddapps.privacy import Entropy, SystemEntropy
from ddapps.privacy.rounded_normal import decided_by_digits, rounded_normal


class Given(Entropy):
    """Gives these words, one after the other."""

    description = "given"

    def __init__(self, words: list[int]) -> None:
        self._words: Iterator[int] = iter(words)

    def words(self, count: int) -> np.ndarray:
        return np.array([next(self._words) for _ in range(count)], dtype=np.uint64)


def exactly(scale: int, share: mpmath.mpf) -> int:
    """Return the nearest integer to a deviate's quantile, by 60 digits."""
    with mpmath.workdps(60):
        start = float(norm.ppf(float(share))) if 1e-300 < float(share) < 1 else -9.0
        return int(mpmath.nint(scale * mpmath.findroot(lambda z: mpmath.ncdf(z) - share, start)))


@pytest.mark.parametrize("scale", [1, 2, 5])
def test_small_scales_have_the_probabilities_of_rounding(scale: int) -> None:
    found = rounded_normal(scale, 200_000, SystemEntropy())
    values = np.arange(-3 * scale, 3 * scale + 1)
    shares = norm.cdf((values + 0.5) / scale) - norm.cdf((values - 0.5) / scale)
    counts = np.array([(found == value).sum() for value in values])
    tested = chisquare([*counts, len(found) - counts.sum()], [*shares * len(found), (1 - shares.sum()) * len(found)])
    assert tested.pvalue > 1e-6


@pytest.mark.parametrize("scale", [2**10, 2**22, 2**40])
def test_large_scales_are_normal_in_all_that_can_be_seen(scale: int) -> None:
    found = rounded_normal(scale, 4000, SystemEntropy())
    assert kstest(found / scale, "norm").pvalue > 1e-6
    assert len(set((found % 2).tolist())) == 2


def test_a_word_stands_for_its_quantile() -> None:
    """Floats decide most words, digits those that floats cannot decide, and all agree."""
    random = np.random.default_rng(0)
    words = [int(w) for w in random.integers(0, 2**64, 300, dtype=np.uint64)]
    words += [2**63 - 1, 2**63, 2**62, 2**64 - 2**30, 2**30, 2**12 + 7]
    more = [int(w) for w in random.integers(0, 2**64, 100, dtype=np.uint64)]
    scale = 2**35  # many are near a boundary, as far as floats can tell
    found = rounded_normal(scale, len(words), Given([*words, *more])).tolist()
    for word, value in zip(words[:60], found, strict=False):
        with mpmath.workdps(60):
            low, high = exactly(scale, mpmath.mpf(word) / 2**64), exactly(scale, mpmath.mpf(word + 1) / 2**64)
        assert low <= value <= high


def test_bits_are_added_until_the_side_of_a_boundary_is_known() -> None:
    """A word whose interval holds a boundary: the next bits decide, both ways."""
    scale = 2**20
    with mpmath.workdps(60):
        boundary = mpmath.ncdf((mpmath.mpf(1000) + mpmath.mpf("0.5")) / scale) * 2**64
        word, rest = int(boundary), int((boundary - int(boundary)) * 2**64)
    assert decided_by_digits(scale, word, Given([rest - 2**40])) == 1000
    assert decided_by_digits(scale, word, Given([rest + 2**40])) == 1001
    assert decided_by_digits(scale, word, Given([rest, 0])) == 1000
    assert decided_by_digits(scale, word, Given([rest, 2**64 - 1])) == 1001


def test_both_tails_reach_as_far_as_the_bits_do() -> None:
    lowest = rounded_normal(2**20, 1, Given([5, 1, 1]))[0]
    highest = rounded_normal(2**20, 1, Given([2**64 - 6, 2**64 - 2, 2**64 - 2]))[0]
    assert lowest == -highest and -9.0 < lowest / 2**20 < -8.5
    deeper = rounded_normal(2**20, 1, Given([0, 0, 12345, 1, 1]))[0]
    assert deeper / 2**20 < -15


@pytest.mark.parametrize("scale", [0, -1, 2**46])
def test_a_scale_that_cannot_be_is_refused(scale: int) -> None:
    with pytest.raises(ValueError, match="a scale lies in 1"):
        rounded_normal(scale, 1, SystemEntropy())
