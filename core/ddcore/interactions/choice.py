"""The choice of a setting by validation data."""

from __future__ import annotations

from collections.abc import Iterable

from ddcore.parts import Predictor, Validate


def best_of(predictors: Iterable[Predictor], validate: Validate | None, score: str) -> Predictor:
    """Return the predictor with the highest score on validation data, the first of equal ones.

    Without validation data it is the first.
    """
    candidates = iter(predictors)
    best = next(candidates)
    if validate is None:
        return best
    highest = validate(best)[score]
    for predictor in candidates:
        found = validate(predictor)[score]
        if found > highest:
            best, highest = predictor, found
    return best
