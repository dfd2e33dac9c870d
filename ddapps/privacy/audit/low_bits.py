"""The attack on the low bits of noisy sums: floats tell which sum lies under the noise.

Noise that was drawn as floats lies on a grid. If the sum does not, the difference of an answer and
the true sum is on that grid, the difference to any other sum is not.

Source: Mironov 2012 (doi:10.1145/2382196.2382264).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def grid_share(residual: Tensor) -> float:
    """Return the share of numbers that single precision holds, up to rounding in the last bits.

    Args:
        residual: an answer minus a sum, in float64.
    """
    nearest = residual.float().double()
    return float(((residual - nearest).abs() <= 2.0**-34 * residual.abs()).double().mean())


def low_bits_guess(answer: Tensor, sums: Sequence[Tensor]) -> int | None:
    """Return which of the sums lies under an answer, by the grid of the rest.

    None: no sum stands out.

    Args:
        answer: a released sum, with its noise.
        sums: what it may be without.
    """
    shares = [grid_share((answer.double() - candidate.double()).flatten()) for candidate in sums]
    best = max(range(len(shares)), key=shares.__getitem__)
    return best if shares.count(shares[best]) == 1 else None


def rights(guesses: Sequence[int | None], truths: Sequence[int]) -> tuple[int, int]:
    """Return how many guesses were right, and how many were made; who has none throws a coin."""
    coins = torch.randint(2, (len(guesses),)).tolist()
    made = [coin if guess is None else guess for guess, coin in zip(guesses, coins, strict=True)]
    return sum(g == t for g, t in zip(made, truths, strict=True)), len(truths)
