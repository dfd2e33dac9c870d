"""What was measured of a candidate: by one training, or without any."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """What one training told of a candidate.

    Attributes:
        accuracy: of the final iterate on held-out examples, in percent.
        loss: its mean cross-entropy there.
        training_loss: mean loss of all updates' batches, each before its update: small where
            training is fast.
        area: mean held-out accuracy after each quarter of the updates, in percent; NaN unless it
            was asked for.
        seconds: of training and testing.
        test: accuracy on the test split, in percent; NaN unless it was asked for. Nothing is chosen
            by it.
    """

    accuracy: float
    loss: float
    training_loss: float
    area: float
    seconds: float
    test: float = math.nan

    def score(self, kind: str) -> float:
        """Return one of `SCORES`."""
        return SCORES[kind](self)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON data; NaN is null."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, numbers: dict[str, Any]) -> Measurement:
        """Return what `to_json` wrote."""
        return cls(**{name: math.nan if value is None else float(value) for name, value in numbers.items()})

    def __str__(self) -> str:
        return f"{self.accuracy:.2f} %"


SCORES: dict[str, Callable[[Measurement], float]] = {
    "accuracy": lambda measured: measured.accuracy,
    "loss": lambda measured: -measured.loss,
    "area": lambda measured: measured.area,
    "training-loss": lambda measured: -measured.training_loss,
}
"""What candidates can be ranked by; higher is better."""


@dataclass(frozen=True)
class Counted:
    """What was counted of a candidate without training it.

    Attributes:
        value: the score; higher is expected to be better.
        seconds: of building the network and counting.
    """

    value: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, numbers: dict[str, Any]) -> Counted:
        """Return what `to_json` wrote."""
        return cls(**{name: float(value) for name, value in numbers.items()})

    def __str__(self) -> str:
        return f"{self.value:g}"
