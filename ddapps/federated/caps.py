"""How much the word of one client counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median_low

from ddcore.parts import Recipe

FARTHEST_RATE = 10.0
"""How many times a client's step size may differ from the median before it is cut to that."""
MAX_REASON = 400


def readable(text: str) -> str:
    """Return a text from a stranger as one short printable line."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[:MAX_REASON])
    return line + (" ..." if len(text) > MAX_REASON else "")


def shares(sizes: Sequence[int], cap: float) -> list[float]:
    """Return positive weights that add up to 1.

    They are in proportion to sizes that are cut at ``cap`` times their median.
    """
    positive = [size for size in sizes if size > 0]
    if not positive:
        return [1 / len(sizes)] * len(sizes)
    limit = cap * median_low(positive)
    cut = [min(float(max(size, 1)), limit) for size in sizes]
    return [size / sum(cut) for size in cut]


def tempered(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Return the recipes, with learned step sizes within a factor of ten of their median."""
    rates = [recipe.learning_rate for recipe in recipes if recipe.learning_rate is not None]
    steps = [recipe.steps.rates for recipe in recipes if recipe.steps is not None]
    middle = median_low(rates) if rates else None
    middles = [median_low(at) for at in zip(*steps, strict=True)] if steps else []
    found = []
    for recipe in recipes:
        if recipe.learning_rate is not None and middle is not None:
            recipe = replace(recipe, learning_rate=_near(recipe.learning_rate, middle))
        if recipe.steps is not None:
            near = tuple(_near(rate, at) for rate, at in zip(recipe.steps.rates, middles, strict=True))
            recipe = replace(recipe, steps=replace(recipe.steps, rates=near))
        found.append(recipe)
    return found


def _near(rate: float, middle: float) -> float:
    return min(max(rate, middle / FARTHEST_RATE), middle * FARTHEST_RATE)
