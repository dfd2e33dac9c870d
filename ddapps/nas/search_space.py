"""What a space of architectures is, and one architecture of it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import getsource
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import nn

from ddapps.nas.grid import Choices, Grid
from ddapps.nas.nni_package import require_nni
from ddcore.errors import SettingsError
from ddcore.ground import derive_seed
from ddcore.parts import Architecture, OneOf
from ddcore.settings import describe, require, require_counts

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace

FEW = 2**24
"""Most architectures that are numbered for a draw; larger spaces are drawn choice by choice."""


class SearchSpace(Grid):
    """A set of architectures, each told from the others by its choices.

    A frozen dataclass that says `values` and `build` is one.
    """

    name: ClassVar[str]

    def model_space(self, shape: tuple[int, ...], num_classes: int) -> ModelSpace:
        """Return the space for NNI's strategies."""
        require_nni()
        from ddapps.nas.model_spaces import GridModelSpace

        return GridModelSpace(self, shape, num_classes)

    @property
    def size(self) -> int:
        """Number of architectures."""
        return math.prod(len(values) for values in self.values().values())

    def candidate(self, choices: Choices) -> Candidate:
        """Return the architecture of some choices.

        Raises:
            SettingsError: a choice is missing, unknown, or takes a value that the space does not
                have.
        """
        allowed = self.values()
        if set(choices) != set(allowed):
            raise SettingsError(f"{self.name} has the choices {', '.join(allowed)}, not {', '.join(map(str, choices))}")
        return Candidate(
            self, tuple((name, self._value(name, choices[name], values)) for name, values in allowed.items())
        )

    def _value(self, name: str, given: Any, values: Sequence[Any]) -> Any:
        """Return the value of the space that is meant: a table's ``4.0`` or ``"4"`` is its 4."""
        for value in values:
            if type(value) is type(given) and value == given:
                return value
        for value in values:
            if value == given or str(value) == given:
                return value
        raise SettingsError(f"{name} of {self.name} is one of {', '.join(map(str, values))}, not {given!r}")

    def sample(self, count: int, seed: int = 0) -> tuple[Candidate, ...]:
        """Return different architectures, drawn with equal chance."""
        return self._drawn(count, derive_seed(seed, "sample"))

    def others(self, count: int, seed: int, than: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """Return different architectures that are not among some, drawn with equal chance.

        Raises:
            SettingsError: the space has too few.
        """
        require(
            count + len(than) <= self.size,
            f"{self.name} has {self.size} architectures: {count} more than {len(than)} cannot be drawn from it",
        )
        taken = set(than)
        drawn = self._drawn(count + len(than), derive_seed(seed, "others"))
        return tuple(candidate for candidate in drawn if candidate not in taken)[:count]

    def pool(self, count: int, seed: int = 0) -> OneOf:
        """Return some architectures as one: each network that is drawn is a random one of them.

        A space that has fewer than ``count`` gives all. The draw is independent of that of
        `sample`: what a proxy is distilled on does not depend on what its ranking is measured on.
        """
        return OneOf(self._drawn(min(count, self.size), derive_seed(seed, "pool")))

    def _drawn(self, count: int, seed: int) -> tuple[Candidate, ...]:
        require_counts(count=count)
        require(count <= self.size, f"{self.name} has {self.size} architectures: {count} cannot be drawn from it")
        random, values = np.random.default_rng(seed), self.values()
        if self.size <= FEW:
            places = np.unravel_index(
                random.choice(self.size, count, replace=False), [len(v) for v in values.values()], "F"
            )
            drawn = [tuple(int(place[index]) for place in places) for index in range(count)]
        else:
            found: dict[tuple[int, ...], None] = {}
            while len(found) < count:
                found[tuple(int(random.integers(len(v))) for v in values.values())] = None
            drawn = list(found)
        return tuple(
            Candidate(self, tuple((name, v[at]) for (name, v), at in zip(values.items(), one, strict=True)))
            for one in drawn
        )


@dataclass(frozen=True)
class Candidate(Architecture):
    """One architecture of a space.

    Attributes:
        space: the space.
        picked: its choices, name and value.
    """

    space: SearchSpace
    picked: tuple[tuple[str, Any], ...]
    name: ClassVar[str] = "candidate"

    @property
    def choices(self) -> dict[str, Any]:
        """The choices by name."""
        return dict(self.picked)

    @property
    def label(self) -> str:
        """The choices in words, for reports and file names."""
        return ",".join(f"{name.removeprefix('cell/')}={value}" for name, value in self.picked)

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return self.space.build(self.choices, shape, num_classes)

    def describe(self) -> dict[str, Any]:
        """Record the choices; the label names the architecture in reports."""
        return {
            "type": "Candidate",
            "function": self.label,
            "space": described(self.space),
            "choices": json.loads(json.dumps(self.choices, default=str)),
        }


def described(space: SearchSpace) -> dict[str, Any]:
    """Return what the architectures of a space depend on, as JSON data.

    Of a user's class, its source is among that.
    """
    facts: dict[str, Any] = describe(space)
    if not type(space).__module__.startswith("ddapps."):
        facts["source_sha256"] = source_hash(type(space))
    return facts


def source_hash(made_by: Any) -> str | None:
    """Return a hash of the source of a class or function, or None where Python cannot read it."""
    try:
        return hashlib.sha256(getsource(made_by).encode()).hexdigest()
    except (OSError, TypeError):
        return None
