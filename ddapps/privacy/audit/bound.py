"""What an attack's success says about epsilon, at least."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import binom

from ddcore.settings import require


def epsilon_lower_bound(
    correct: int, guesses: int, *, canaries: int | None = None, delta: float = 0.0, confidence: float = 0.95
) -> float:
    r"""Return an :math:`\epsilon` that the true one exceeds; 0 if the guesses say nothing.

    Each canary was inserted by a fair coin flip and guesses are about the coins. Under
    :math:`(\epsilon, \delta)`-differential privacy the number of correct guesses is at most that of
    a binomial with success probability :math:`e^\epsilon / (1 + e^\epsilon)`, up to a correction
    for :math:`\delta`. For :math:`\delta = 0` this inverts the one-sided Clopper-Pearson interval:
    :math:`\epsilon \ge \log\frac{p}{1 - p}` with the lower limit :math:`p` of the share of correct
    guesses.

    Args:
        correct: right guesses.
        guesses: how many there were, right or wrong; abstaining is allowed.
        canaries: coins flipped; default: as many as guesses.
        delta: of the guarantee that is tested.
        confidence: with which the true one exceeds it, in (0, 1).

    Source: Steinke, Nasr & Jagielski 2023 (arXiv:2305.08846), theorem 5.2; canaries in one run may
    share it.
    """
    canaries = guesses if canaries is None else canaries
    require(
        0 <= correct <= guesses <= canaries, f"{correct} right of {guesses} guesses about {canaries} coins cannot be"
    )
    require(0 < confidence < 1 and 0 <= delta < 1, "confidence lies in (0, 1), delta in [0, 1)")
    if correct == 0:
        return 0.0
    low, high = 0.0, 60.0
    if _chance(correct, guesses, canaries, low, delta) > 1 - confidence:
        return 0.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _chance(correct, guesses, canaries, middle, delta) <= 1 - confidence else (low, middle)
        )
    return low


def _chance(correct: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """Return the most probable that so many right guesses can be under the guarantee."""
    success = 1 / (1 + math.exp(-epsilon))
    tail = float(binom.sf(correct - 1, guesses, success))
    if delta == 0:
        return tail
    below = np.cumsum(binom.pmf(np.arange(correct - 1, -1, -1), guesses, success))
    worst = float((below / np.arange(1, correct + 1)).max())
    return min(1.0, tail + 2 * canaries * delta * worst)
