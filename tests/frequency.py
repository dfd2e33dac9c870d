"""Whether random draws reach every member of a population equally often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import torch

import ddcore as dd


def numbered(per_class: int = 30, classes: int = 4) -> dd.TargetData:
    """Return images of one pixel whose byte is their place.

    Member ``k`` of class ``c`` is ``classes * k + c``.
    """
    n = per_class * classes
    pixels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1)
    return dd.load_data({"x_train": pixels, "y_train": torch.arange(n) % classes}, normalisation="none")


def numbers(inputs: torch.Tensor) -> list[int]:
    """Return the places of images of `numbered`, as bytes or as numbers in [0, 1]."""
    return (
        inputs.flatten().tolist() if inputs.dtype == torch.uint8 else (inputs.flatten() * 255).round().long().tolist()
    )  # type: ignore[no-any-return]


def assert_equally_often(draws: Sequence[Sequence[int]], population: Collection[int]) -> None:
    """Each draw holds distinct members.

    Their frequencies stay within five standard deviations of equal ones.
    """
    assert all(len(set(draw)) == len(draw) and set(draw) <= set(population) for draw in draws)
    found = Counter(member for draw in draws for member in draw)
    shares = [len(draw) / len(population) for draw in draws]
    expected, deviation = sum(shares), sum(p * (1 - p) for p in shares) ** 0.5
    assert 0 < 5 * deviation < expected, "too few draws to tell"
    for member in population:
        assert abs(found[member] - expected) < 5 * deviation, (member, found[member], expected)
