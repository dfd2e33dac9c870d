"""Rounded normal deviates: integers, drawn exactly, from random bits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from scipy.special import ndtri

from ddapps.privacy.entropy import Entropy

MAX_SCALE = 2**45
GUARD = 2.0**-40
"""What floats may be wrong by, relative to a deviate. They are wrong by less than 2^-48."""
EXTRA_BITS = 64


def rounded_normal(scale: int, count: int, entropy: Entropy) -> np.ndarray:
    r"""Return ``count`` independent integers :math:`\lfloor \sigma Z \rceil`, Z standard normal.

    Each is decided by as many random bits as it takes. A word :math:`u` says that :math:`U` lies in
    :math:`[u, u + 1)\, 2^{-64}`. So :math:`\sigma \Phi^{-1}(U)` lies in an interval, which is
    widened by a bound of all errors of floats. If one integer is nearest to all of it, that is the
    answer. Else more bits of :math:`U` are drawn, and :math:`\Phi` is computed to as many digits
    as tell on which side of a boundary :math:`U` lies. No error of floats is left in the
    distribution.

    Args:
        scale: :math:`\sigma`, a whole number from 1 to 2^45.
        count: how many.
        entropy: of the bits.
    """
    if not 1 <= scale <= MAX_SCALE:
        raise ValueError(f"a scale lies in 1 .. {MAX_SCALE}, not {scale}")
    drawn = entropy.words(count)
    # Upper halves are folded on lower ones: so both tails keep all of their bits.
    lower = drawn < np.uint64(2**63)
    folded = np.where(lower, drawn, ~drawn).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        least, most = ndtri(folded * 2.0**-64), ndtri((folded + 1) * 2.0**-64)
        spread = GUARD * (1 + np.abs(least))
        first, last = np.rint(scale * (least - spread)), np.rint(scale * (most + spread))
    decided = np.isfinite(first) & (first == last)
    found = np.where(decided, first, 0).astype(np.int64)
    found = np.where(lower, found, -found)
    for place in np.flatnonzero(~decided):
        found[place] = decided_by_digits(scale, int(drawn[place]), entropy)
    return found


def decided_by_digits(scale: int, word: int, entropy: Entropy) -> int:
    """Return the integer nearest to ``scale`` times the deviate whose bits begin with ``word``."""
    share, bits = word, 64
    while True:
        with mpmath.workprec(bits + 64):
            low, high = (mpmath.mpf(share + more) / 2**bits for more in (0, 1))
            nearest = int(mpmath.nint(scale * _inverse((low + high) / 2)))
            below, above = (mpmath.ncdf(mpmath.mpf(2 * nearest + side) / (2 * scale)) for side in (-1, 1))
            slack = mpmath.mpf(2) ** -(bits + 40)
            if below + slack <= low and high <= above - slack:
                return nearest
        share, bits = share << EXTRA_BITS | int(entropy.words(1)[0]), bits + EXTRA_BITS


def _inverse(share: Any) -> Any:
    start = float(ndtri(min(max(float(share), 1e-300), 1 - 2.0**-53)))
    return mpmath.findroot(lambda z: mpmath.ncdf(z) - share, start)
