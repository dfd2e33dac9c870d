"""A user's own NNI ``ModelSpace`` as a space of architectures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from ddapps.nas.grid import Choices, Values
from ddapps.nas.nni_package import require_nni
from ddapps.nas.search_space import SearchSpace, source_hash
from ddcore.errors import UnsupportedError
from ddcore.ground import default_generator_seeded

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace

PLAIN_SHAPE, PLAIN_CLASSES = (3, 32, 32), 10
"""What a space is built for where only its choices are asked."""


@dataclass(frozen=True)
class UserSpace(SearchSpace):
    """Any NNI ``ModelSpace``.

    Attributes:
        make: returns the space, as ``make()`` or ``make(shape, num_classes)``: a class of yours,
            say. Ray wants it importable.
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
            "source_sha256": [source_hash(part) for part in (made_by, *given, *named.values()) if callable(part)],
            "values": values,
        }


def _word(value: Any) -> str:
    """Return an argument in words that are the same in every process."""
    return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else repr(value)
