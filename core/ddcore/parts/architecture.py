"""What an architecture is: settings that build a module. Its weights are drawn from a seed."""

from __future__ import annotations

import hashlib
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ddcore.errors import SettingsError, UnsupportedError
from ddcore.ground.randomness import default_generator_seeded
from ddcore.parts.network import Network, find_head, plain_copy
from ddcore.settings import describe, settings_from_text, settings_text

ARCHITECTURES: dict[str, type[Architecture]] = {}
"""Architectures by name: those of ``ddcore.networks``, and those that each modality adds."""


class Architecture(ABC):
    """Settings of a network."""

    name: ClassVar[str]
    modality: ClassVar[str | None] = None
    """The modality whose examples it takes. None: it takes any."""
    also: ClassVar[tuple[str, ...]] = ()
    """Other modalities whose examples it takes."""

    @abstractmethod
    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Return a new module on the CPU for examples of ``shape``.

        Its weights come from torch's default generator.
        """

    def pick(self, seed: int) -> Architecture:
        """Return the architecture that ``seed`` picks: this one, unless it stands for several."""
        return self

    def build(
        self,
        shape: tuple[int, ...],
        num_classes: int,
        *,
        seed: int,
        dtype: torch.dtype = torch.float32,
        head: str | None = None,
    ) -> Network:
        """Return a new network on the CPU.

        Args:
            shape: of one example.
            num_classes: number of outputs.
            seed: from which the weights are drawn.
            dtype: of the weights.
            head: name of the classifier's submodule; None: `find_head` looks for it.
        """
        with default_generator_seeded(seed):
            module = self.module(shape, num_classes).to(dtype)
        return Network(module, head or find_head(module, shape, num_classes))


@dataclass(frozen=True)
class Usual(Architecture):
    """Stands for the usual network of the data at hand. A run puts that network in its place."""

    name: ClassVar[str] = "usual"

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        raise UnsupportedError(f"examples of shape {shape} are of no known modality: name a network")


@dataclass(frozen=True)
class OneOf(Architecture):
    """Several architectures. Each drawn network is one of them, all with equal chance."""

    architectures: tuple[Architecture, ...]
    name: ClassVar[str] = "one_of"

    def __post_init__(self) -> None:
        if not self.architectures:
            raise SettingsError("OneOf needs at least one architecture")

    def pick(self, seed: int) -> Architecture:
        random = torch.Generator().manual_seed(seed)
        picked = int(torch.randint(len(self.architectures), (1,), generator=random))
        return self.architectures[picked].pick(seed)

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        seed = int(torch.randint(2**62, (1,)))
        return self.pick(seed).module(shape, num_classes)


@dataclass(frozen=True)
class Factory(Architecture):
    """A user's function that builds a module, or its class.

    A builder with a parameter ``num_classes``, as torchvision's models are, is called as
    ``build_module(num_classes=...)``, and gets the shape of an example first if it needs one
    argument more. Another is called as ``build_module(shape, num_classes)``, or as
    ``build_module()`` if it takes fewer than two arguments. No weights are fetched.
    """

    build_module: Callable[..., nn.Module]
    name: ClassVar[str] = "factory"

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        arguments, named = _arguments(self.build_module, shape, num_classes)
        try:
            built = self.build_module(*arguments, **named)
        except (TypeError, ValueError) as error:
            raise UnsupportedError(
                f"the network factory {_name_of(self.build_module)} failed ({error}): give a function of (shape, "
                "num_classes) that returns a module"
            ) from error
        if not isinstance(built, nn.Module):
            raise UnsupportedError(f"the network factory returned {type(built).__name__}, not an nn.Module")
        return built

    def describe(self) -> dict[str, Any]:
        """Record the function's name, and a hash of its source where Python can read it."""
        try:
            digest = hashlib.sha256(inspect.getsource(self.build_module).encode()).hexdigest()
        except (OSError, TypeError):
            digest = None
        return {"type": "Factory", "function": _name_of(self.build_module), "source_sha256": digest}


def _name_of(build: Callable[..., nn.Module]) -> str:
    return getattr(build, "__qualname__", type(build).__name__)


def _arguments(
    build: Callable[..., nn.Module], shape: tuple[int, ...], num_classes: int
) -> tuple[tuple[object, ...], dict[str, int]]:
    """Return what a builder is called with, by its parameters."""
    parameters = inspect.signature(build).parameters
    free = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    classes = parameters.get("num_classes")
    if (classes is not None and classes.kind is not classes.POSITIONAL_ONLY) or (free and "weights" in parameters):
        first = next(iter(parameters.values()))
        needed = first.default is first.empty and first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD)
        takes_shape = first.name == "shape" or (needed and first.name != "num_classes")
        return (shape,) if takes_shape else (), {"num_classes": num_classes}
    return ((shape, num_classes), {}) if len(parameters) >= 2 else ((), {})


@dataclass(frozen=True)
class Redrawn(Architecture):
    """A user's module as a template.

    Each build copies it, and draws all weights anew by calling ``reset_parameters``.

    Attributes:
        template: the module.
        initial: values by name, for weights of submodules without ``reset_parameters``: each build
            begins with these. None: such weights are an error.
    """

    template: nn.Module
    initial: Mapping[str, Tensor] | None = field(default=None, compare=False)
    name: ClassVar[str] = "redrawn"

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        module = plain_copy(self.template).cpu()
        for name, part in module.named_modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
            else:
                self._begin(name, part)
        return module

    def _begin(self, place: str, part: nn.Module) -> None:
        """Put the initial values in place of a submodule's own weights."""
        for name, weight in part.named_parameters(prefix=place, recurse=False):
            first = None if self.initial is None else self.initial.get(name)
            if first is None or first.shape != weight.shape:
                known = "no reset_parameters()" if first is None else "another shape than at the start"
                raise UnsupportedError(
                    f"submodule {place!r} has weights but {known}: pass a factory instead of a module, or give it reset_parameters()"
                )
            with torch.no_grad():
                weight.copy_(first)

    def describe(self) -> dict[str, Any]:
        """Record the class and its structure."""
        return {"type": "Redrawn", "module": type(self.template).__name__, "structure": repr(self.template)}


def as_architecture(given: object) -> Architecture:
    """Return the architecture that is meant.

    Args:
        given: an architecture; a name such as ``convnet(width=64)``; a module (`Redrawn`);
            a function that builds one (`Factory`); or a list of these. Of a list, each network
            is drawn from all entries (`OneOf`).
    """
    if isinstance(given, Architecture):
        return given
    if isinstance(given, str):
        return parse_architecture(given)
    if isinstance(given, nn.Module):
        return Redrawn(given)
    if isinstance(given, list | tuple):
        return OneOf(tuple(as_architecture(g) for g in given))
    if callable(given):
        return Factory(given)
    raise UnsupportedError(
        f"{type(given).__name__} is not a network: give a name, an Architecture, a module or a function that builds one"
    )


def parse_architecture(text: str) -> Architecture:
    """Return the architecture that ``text`` names, such as ``convnet(width=64)``."""
    return settings_from_text(text, {name: kind() for name, kind in ARCHITECTURES.items()}, "network")


def rebuilt(text: str, shape: tuple[int, ...], num_classes: int, weights: Mapping[str, Tensor]) -> nn.Module:
    """Return a module of the architecture that ``text`` names, with these weights and buffers.

    Text and weights may come from a stranger: names and shapes are compared before memory is taken.

    Raises:
        SettingsError: the network is too large to be looked at, or the weights are not its own.
    """
    require_buildable(text)
    with torch.device("meta"):
        like = parse_architecture(text).module(shape, num_classes).state_dict()
    if {name: t.shape for name, t in like.items()} != {name: t.shape for name, t in weights.items()}:
        raise SettingsError(f"the weights are not those of {text}")
    with default_generator_seeded(0):
        module = parse_architecture(text).module(shape, num_classes)
    module.load_state_dict(dict(weights))
    return module


def require_buildable(text: str) -> None:
    """Raise `SettingsError` if a stranger's text names a network that is too large to be built."""
    numbers = re.findall(r"\d+", text)
    depths = re.findall(r"depth\s*=\s*(\d+)", text)
    if len(text) > 200 or any(len(n) > 9 or int(n) > 2**16 for n in numbers) or any(int(d) > 256 for d in depths):
        raise SettingsError(f"{text[:60]!r} is too large a network to be built for a file")


def architecture_label(architecture: Architecture) -> str:
    """Return a name for reports. Settings that differ from their defaults stand in brackets."""
    if architecture.name not in ARCHITECTURES:
        described = describe(architecture)
        return str(described.get("function", architecture.name))
    return settings_text(architecture.name, architecture)
