"""Spaces of architectures: by their choices, as core architectures, and as NNI's model spaces."""

from __future__ import annotations

import json
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from ddapps.nas.nni_package import require_nni
from ddcore.engine import derive_seed
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.networks import Architecture, ConvNet, OneOf
from ddcore.settings import describe, require, require_counts, settings_from_text, settings_text

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace

Choices = Mapping[str, Any]
Values = Mapping[str, Sequence[Any]]

NARROW, RESIZED = 16, 32
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

    def __len__(self) -> int:
        return math.prod(len(values) for values in self.values().values())

    def candidate(self, choices: Choices) -> Candidate:
        """Return the architecture of some choices.

        Raises:
            SettingsError: a choice is missing, unknown, or takes a value that the space does not have.
        """
        allowed = self.values()
        if set(choices) != set(allowed):
            raise SettingsError(f"{self.name} has the choices {', '.join(allowed)}, not {', '.join(map(str, choices))}")
        for name, value in choices.items():
            if value not in allowed[name]:
                known = ", ".join(map(str, allowed[name]))
                raise SettingsError(f"{name} of {self.name} is one of {known}, not {value!r}")
        return Candidate(self, tuple((name, choices[name]) for name in allowed))

    def sample(self, count: int, seed: int = 0) -> tuple[Candidate, ...]:
        """Return different architectures, drawn with equal chance."""
        return self._drawn(count, derive_seed(seed, "sample"))

    def pool(self, count: int, seed: int = 0) -> OneOf:
        """Return some architectures as one, which stands for a random one of them whenever a network is drawn.

        They are drawn independently of `sample`: what a proxy is distilled on is not what its ranking is measured on.
        """
        return OneOf(self._drawn(min(count, len(self)), derive_seed(seed, "pool")))

    def _drawn(self, count: int, seed: int) -> tuple[Candidate, ...]:
        require_counts(count=count)
        require(count <= len(self), f"{self.name} has {len(self)} architectures: {count} cannot be drawn from it")
        picked = np.random.default_rng(seed).choice(len(self), count, replace=False)
        return tuple(self._at(int(index)) for index in picked)

    def _at(self, index: int) -> Candidate:
        picked = {}
        for name, values in self.values().items():
            index, place = divmod(index, len(values))
            picked[name] = values[place]
        return self.candidate(picked)


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
            "space": describe(self.space),
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
        found = {}
        for name, mutable in self.model_space(PLAIN_SHAPE, PLAIN_CLASSES).simplify().items():
            values = getattr(mutable, "values", None)
            if values is None:
                raise UnsupportedError(
                    f"choice {name!r} is a {type(mutable).__name__}: give spaces whose choices are nni.choice or LayerChoice"
                )
            found[str(name)] = tuple(values)
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
        takes = [
            p
            for p in signature(self.make).parameters.values()
            if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty
        ]
        made = self.make(shape, num_classes) if len(takes) >= 2 else self.make()
        if not isinstance(made, nn.Module) or not callable(getattr(made, "simplify", None)):
            raise UnsupportedError(f"{self.title} gives a {type(made).__name__}, not an nni.nas.nn.pytorch.ModelSpace")
        return made

    @property
    def title(self) -> str:
        """Name of the function or class."""
        made_by = self.make.func if isinstance(self.make, partial) else self.make
        return str(getattr(made_by, "__qualname__", type(made_by).__name__))

    def describe(self) -> dict[str, Any]:
        """Record the function by name, and the choices."""
        values = {name: [str(value) for value in values] for name, values in self.values().items()}
        return {"type": "UserSpace", "make": self.title, "values": values}


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
    if isinstance(given, nn.Module) and hasattr(given, "trace_symbol"):
        return UserSpace(partial(type(given), *given.trace_args, **given.trace_kwargs))  # type: ignore[misc, arg-type]
    if callable(given):
        return UserSpace(given)
    raise UnsupportedError(f"{type(given).__name__} is not a space: give a name, a SearchSpace or an NNI ModelSpace")


def space_label(space: SearchSpace) -> str:
    """Return a space's name, with the settings that differ from the default."""
    return space.title if isinstance(space, UserSpace) else settings_text(space.name, space)


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        found = getattr(import_module(module), name, None)
    except ImportError as error:
        raise SettingsError(f"the space {path!r} cannot be imported: {error}") from error
    finally:
        if added:
            sys.path.remove(here)
    if not callable(found):
        raise SettingsError(f"{module} has no class or function {name!r} that makes a ModelSpace")
    return found
