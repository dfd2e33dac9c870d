"""How columns become inputs: numbers are standardised, categories are one-hot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ddcore.parts import Normalisation
from ddcore.settings import require

LARGEST = 1e30
SAME = 1e-12
"""Deviations below this share of the largest number are rounding."""
MAX_NAME = 200
MAX_CATEGORIES = 1000
MAX_COLUMNS = 100_000


def require_name(text: object) -> None:
    """Raise `SettingsError` unless ``text`` can be a name: printable, and not too long."""
    fits = isinstance(text, str) and len(text) <= MAX_NAME and text.isprintable()
    require(fits, f"{str(text)[:40]!r} is no name: printable text of at most {MAX_NAME} characters")


@dataclass(frozen=True)
class Column:
    """A column of the inputs.

    Attributes:
        name: that of the table's column.
        categories: values of a column of categories, in the order of their inputs. Empty: the
            column holds numbers.
    """

    name: str
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for text in (self.name, *self.categories):
            require_name(text)
        require(len(set(self.categories)) == len(self.categories), f"column {self.name!r} repeats a category")
        require(
            len(self.categories) <= MAX_CATEGORIES,
            f"column {self.name!r} has {len(self.categories)} categories, {MAX_CATEGORIES} at most become inputs",
        )

    @property
    def width(self) -> int:
        """Number of inputs that the column becomes."""
        return len(self.categories) or 1


def places_of(columns: Sequence[Column]) -> list[tuple[Column, slice]]:
    """Return each column with the slice of the inputs that it becomes."""
    found, before = [], 0
    for column in columns:
        found.append((column, slice(before, before + column.width)))
        before += column.width
    return found


def numbers_in(value: object) -> tuple[float, ...]:
    """Return a list of numbers from JSON; anything else raises `SettingsError`."""
    listed = isinstance(value, list) and all(type(v) in (int, float) for v in value)
    require(listed, f"{str(value)[:40]!r} stands where a list of numbers belongs")
    return tuple(map(float, value))  # type: ignore[call-overload]


def mean_and_deviation(numbers: np.ndarray) -> tuple[float, float]:
    """Return both of some numbers. The deviation of numbers that are equal up to rounding is 1.

    numpy computes on one thread. So the number of threads does not change the last digit.
    """
    mean, spread = float(numbers.mean()), float(numbers.std())
    return mean, spread if spread > SAME * float(np.abs(numbers).max()) else 1.0


@dataclass(frozen=True)
class Scaling(Normalisation):
    r"""Maps each input to :math:`(x - \mu) / \sigma`.

    Inputs of categories stay 0 or 1, since for them :math:`\mu = 0, \sigma = 1`.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: ClassVar[str] = "columns"

    def __post_init__(self) -> None:
        require(len(self.mean) == len(self.std) > 0, "a scaling needs one mean and one deviation per input")
        finite = all(math.isfinite(v) and abs(v) <= LARGEST for v in self.mean)
        positive = all(1 / LARGEST <= v <= LARGEST for v in self.std)
        require(finite and positive, "means must be finite and deviations positive, none of them extreme")

    @classmethod
    def fit(cls, inputs: Tensor, columns: Sequence[Column]) -> Scaling:
        """Return the scaling by mean and standard deviation of ``inputs``, ``n x d``.

        A number that is the same in every row is only shifted.
        """
        values, mean, std = inputs.double().numpy(), [], []
        for column, place in places_of(columns):
            if column.categories:
                mean += [0.0] * column.width
                std += [1.0] * column.width
                continue
            centre, spread = mean_and_deviation(values[:, place.start])
            mean.append(centre)
            std.append(spread)
        return cls(tuple(mean), tuple(std))

    def apply(self, values: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        return self._forward(values.double()).to(dtype)

    def _forward(self, values: Tensor) -> Tensor:
        mean, std = self._like(values)
        return (values - mean) / std

    def _inverse(self, inputs: Tensor) -> Tensor:
        mean, std = self._like(inputs)
        return inputs * std + mean

    def _like(self, other: Tensor) -> tuple[Tensor, Tensor]:
        """Return both on the device and in the type of ``other``. Copies are made once and kept."""
        copies: dict[Any, tuple[Tensor, Tensor]] = self.__dict__.setdefault("_copies", {})
        key = (other.device, other.dtype)
        if key not in copies:
            copies[key] = tuple(torch.tensor(v, dtype=torch.float64).to(other) for v in (self.mean, self.std))  # type: ignore[assignment]
        return copies[key]

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def restore(cls, config: Mapping[str, Any]) -> Scaling:
        """Return the scaling that `describe` recorded."""
        require(set(config) == {"name", "mean", "std"} and config["name"] == cls.name, "this is no scaling of columns")
        return cls(numbers_in(config["mean"]), numbers_in(config["std"]))

    def same_as(self, other: Normalisation) -> bool:
        if not isinstance(other, Scaling) or len(other.mean) != len(self.mean):
            return False
        pairs = zip((*self.mean, *self.std), (*other.mean, *other.std), strict=True)
        return all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in pairs)
