"""Spaces of architectures: by their choices, as core architectures, and as NNI's model spaces."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from importlib import import_module
from inspect import getsource, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from ddapps.nas.nni_package import require_nni
from ddcore.engine import default_generator_seeded, derive_seed
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.networks import Architecture, ConvNet, OneOf
from ddcore.settings import describe, require, require_counts, settings_from_text

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace

Choices = Mapping[str, Any]
Values = Mapping[str, Sequence[Any]]

NARROW, RESIZED, FEW = 16, 32, 2**24
PLAIN_SHAPE, PLAIN_CLASSES = (3, 32, 32), 10
"""What a space is built for where only its choices are asked."""


class SearchSpace(ABC):
    """A set of architectures, each told from the others by its choices; a frozen dataclass that says `values` and `build` is one."""

    name: ClassVar[str]

    @abstractmethod
    def values(self) -> Values:
        """Return the values that each choice can take; all combinations are architectures."""

    @abstractmethod
    def build(self, choices: Choices, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Return a new module; its weights come from torch's default generator."""

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
            SettingsError: a choice is missing, unknown, or takes a value that the space does not have.
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

    def pool(self, count: int, seed: int = 0) -> OneOf:
        """Return some architectures (all, where the space has fewer) as one, which stands for a random one of them whenever a network is drawn.

        The draw is independent of that of `sample`: what a proxy is distilled on is not chosen by what its ranking is measured on.
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


@dataclass(frozen=True)
class ConvNetSpace(SearchSpace):
    """The 720 ConvNets of Zhao et al. 2021: four depths, four widths, five norms, three activations, three poolings.

    Images of less than 16 px are resized to 32 first, so that every depth is valid.

    Attributes:
        width_divisor: the widths are 32, 64, 128 and 256, divided by this: 1 as published, 8 for a processor.

    Source: arXiv:2006.05929.
    """

    width_divisor: int = 8
    name: ClassVar[str] = "convnet"

    def __post_init__(self) -> None:
        require(
            self.width_divisor in (1, 2, 4, 8),
            f"width_divisor must be 1, 2, 4 or 8 (the norm 'group' has 4 groups), not {self.width_divisor}",
        )

    def values(self) -> Values:
        return {
            "depth": (1, 2, 3, 4),
            "width": tuple(width // self.width_divisor for width in (32, 64, 128, 256)),
            "norm": ("none", "batch", "layer", "instance", "group"),
            "activation": ("sigmoid", "relu", "leaky_relu"),
            "pooling": ("none", "max", "avg"),
        }

    def build(self, choices: Choices, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        network = ConvNet(**choices)
        if len(shape) != 3:
            raise UnsupportedError(f"{self.name} takes images, not examples of shape {shape}")
        if min(shape[1:]) >= NARROW:
            return network.module(shape, num_classes)
        return nn.Sequential(Resized(RESIZED), network.module((shape[0], RESIZED, RESIZED), num_classes))


@dataclass(frozen=True)
class NasBench201(SearchSpace):
    """The 15 625 cells of NAS-Bench-201, as NNI's hub builds them.

    Attributes:
        channels: of the stem; published: 16.
        cells: in each of the three stacks; published: 5.

    Source: arXiv:2001.00326.
    """

    channels: int = 16
    cells: int = 5
    name: ClassVar[str] = "nasbench201"

    def __post_init__(self) -> None:
        require_counts(channels=self.channels, cells=self.cells)

    def values(self) -> Values:
        operations = ("none", "skip_connect", "conv_1x1", "conv_3x3", "avg_pool_3x3")
        return {f"cell/{start}_{end}": operations for end in (1, 2, 3) for start in range(end)}

    def build(self, choices: Choices, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        module: nn.Module = self.model_space(shape, num_classes).freeze(dict(choices))
        return module

    def model_space(self, shape: tuple[int, ...], num_classes: int) -> ModelSpace:
        require_nni()
        from nni.nas.hub.pytorch import NasBench201 as Hub

        if len(shape) != 3 or shape[0] != 3:
            raise UnsupportedError(f"{self.name} takes colour images, not examples of shape {shape}")
        return Hub(self.channels, self.cells, num_classes)


@dataclass(frozen=True)
class UserSpace(SearchSpace):
    """Any NNI ``ModelSpace``.

    Attributes:
        make: returns the space, as ``make()`` or ``make(shape, num_classes)``: a class of yours, say. Ray wants it importable.
    """

    make: Callable[..., Any]
    name: ClassVar[str] = "user"

    def values(self) -> Values:
        return self._values

    @cached_property
    def _values(self) -> dict[str, tuple[Any, ...]]:
        require_nni()
        from nni.mutable import Categorical

        found = {}
        with default_generator_seeded(0):
            mutables = self._made(PLAIN_SHAPE, PLAIN_CLASSES).simplify()  # type: ignore[operator]
        for name, mutable in mutables.items():
            if type(mutable) is not Categorical:
                raise UnsupportedError(
                    f"choice {name!r} is a {type(mutable).__name__}: give spaces whose choices are nni.choice or LayerChoice"
                )
            found[str(name)] = tuple(mutable.values)
        if not found:
            raise UnsupportedError(f"{self.title} has no choices: there is nothing to search")
        return found

    def build(self, choices: Choices, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        require_nni()
        from nni.nas.space import model_context

        with model_context(dict(choices)):
            return self._made(shape, num_classes)

    def model_space(self, shape: tuple[int, ...], num_classes: int) -> ModelSpace:
        require_nni()
        return self._made(shape, num_classes)

    def _made(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        made_by, given, named = self._parts
        # NNI wraps the constructors of its spaces, and keeps what was wrapped.
        asked = tuple(signature(getattr(made_by, "_init_wrapped", made_by)).parameters.values())
        free = [p for p in asked if p.name != "self" and p.kind is p.POSITIONAL_OR_KEYWORD][len(given) :]
        takes = [p for p in free if p.default is p.empty and p.name not in named]
        hidden = [p.name for p in asked if p.default is p.empty and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_ONLY)]
        if len(takes) not in (0, 2) or set(hidden) - set(named):
            raise UnsupportedError(
                f"{self.title} must take shape and num_classes, or nothing, not {len(takes)} arguments"
            )
        made = self.make(shape, num_classes) if takes else self.make()
        if not isinstance(made, nn.Module) or not callable(getattr(made, "simplify", None)):
            raise UnsupportedError(f"{self.title} gives a {type(made).__name__}, not an nni.nas.nn.pytorch.ModelSpace")
        return made

    @property
    def title(self) -> str:
        """Name of the function or class, and the arguments that it is given."""
        made_by, given, named = self._parts
        name = str(getattr(made_by, "__qualname__", type(made_by).__name__))
        words = [*map(_word, given), *(f"{key}={_word(value)}" for key, value in named.items())]
        return f"{name}({','.join(words)})" if words else name

    @property
    def _parts(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """What makes the space, and the arguments that it is given."""
        if isinstance(self.make, partial):
            return self.make.func, self.make.args, self.make.keywords
        return self.make, (), {}

    def describe(self) -> dict[str, Any]:
        """Record the function by name, source and arguments, and the choices."""
        made_by, given, named = self._parts
        values = {name: [str(value) for value in values] for name, values in self.values().items()}
        return {
            "type": "UserSpace",
            "make": self.title,
            "module": str(getattr(made_by, "__module__", "")),
            "source_sha256": [_source_hash(part) for part in (made_by, *given, *named.values()) if callable(part)],
            "values": values,
        }


class Resized(nn.Module):
    """Bilinear resizing of images to a side.

    Args:
        side: in pixels.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: Tensor) -> Tensor:
        """Map ``n x c x h x w`` to ``n x c x side x side``."""
        return F.interpolate(images, size=(self.side, self.side), mode="bilinear", align_corners=False)


SPACES: dict[str, SearchSpace] = {space.name: space for space in (ConvNetSpace(), NasBench201())}


def as_space(given: object) -> SearchSpace:
    """Return a space from a space, a name such as ``convnet(width_divisor=4)``, or an NNI ``ModelSpace``.

    Args:
        given: also ``package.module:Name``, where ``Name`` is a class or function that makes a ``ModelSpace``.
    """
    if isinstance(given, SearchSpace):
        return given
    if isinstance(given, str):
        if ":" in given:
            return UserSpace(_imported(given))
        return settings_from_text(given, SPACES, "space")
    if isinstance(given, nn.Module):
        if not hasattr(given, "trace_kwargs"):
            raise UnsupportedError(f"a {type(given).__name__} is one network: give an NNI ModelSpace")
        return UserSpace(partial(type(given), *given.trace_args, **given.trace_kwargs))  # type: ignore[misc, arg-type]
    if callable(given):
        return UserSpace(given)
    raise UnsupportedError(f"{type(given).__name__} is not a space: give a name, a SearchSpace or an NNI ModelSpace")


def space_label(space: SearchSpace) -> str:
    """Return a space's name with its settings."""
    if isinstance(space, UserSpace):
        return space.title
    settings = ",".join(f"{field.name}={getattr(space, field.name)}" for field in fields(space))  # type: ignore[arg-type]
    return f"{space.name}({settings})" if settings else space.name


def described(space: SearchSpace) -> dict[str, Any]:
    """Return what the architectures of a space depend on, as JSON data: of a user's class, its source too."""
    facts: dict[str, Any] = describe(space)
    if not type(space).__module__.startswith("ddapps."):
        facts["source_sha256"] = _source_hash(type(space))
    return facts


def _word(value: Any) -> str:
    """Return an argument in words that are the same in every process."""
    return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else repr(value)


def _source_hash(made_by: Any) -> str | None:
    """Return a hash of the source of a class or function, or None where Python cannot read it."""
    try:
        return hashlib.sha256(getsource(made_by).encode()).hexdigest()
    except (OSError, TypeError):
        return None


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        found = getattr(import_module(module), name, None)
    except Exception as error:  # whatever the user's module raises
        raise SettingsError(f"the space {path!r} cannot be imported: {error}") from error
    finally:
        if added:
            sys.path.remove(here)
    if not callable(found):
        raise SettingsError(f"{module} has no class or function {name!r} that makes a ModelSpace")
    return found
