"""What a matching is: it yields loss terms, and the one loop takes steps on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from ddcore.errors import UnsupportedError
from ddcore.parts.network_source import NetworkSource
from ddcore.parts.recipe import Recipe
from ddcore.parts.run import Run


@dataclass(frozen=True)
class Term:
    """A part of one step's loss; its graph is freed as soon as the engine has its gradient.

    Attributes:
        loss: a scalar.
        groups: parameter groups that get a gradient from this term; empty: all.
        update: whether the optimiser steps right after this term instead of at the end of the step.
        classes: the classes that the term is about, for observers.
    """

    loss: Tensor
    groups: tuple[str, ...] = ()
    update: bool = False
    classes: tuple[int, ...] | None = None


class MatchingState:
    """What lives during one run of a matching: here nothing; learned step sizes and the like in a subclass."""

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Return parameters of the matching itself."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs to go on."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of `state_dict`."""


class Matching(ABC):
    """Settings of a matching.

    Attributes:
        family: ``distribution``, ``gradient``, ``trajectory`` or ``meta-model`` (survey, sections 2.1 to 2.4).
        trains_labels: whether its loss depends on the synthetic labels, so that soft labels can be learned.
    """

    family: ClassVar[str]
    trains_labels: ClassVar[bool]

    def check_networks(self, source: NetworkSource) -> None:
        """Raise `UnsupportedError` if networks from ``source`` are not what this matching needs."""
        if source.at_a_time() != 1:
            raise UnsupportedError(
                f"{type(self).__name__} needs networks, one at a time; {type(source).__name__} gives {source.at_a_time()}"
            )

    def start(self, run: Run) -> MatchingState:
        """Return what lives during one run; raise `UnsupportedError` if the run's networks do not fit."""
        return MatchingState()

    @abstractmethod
    def terms(self, run: Run, state: MatchingState) -> Iterator[Term]:
        """Yield the terms of the present step."""

    def asks(self) -> frozenset[str]:
        """Return the questions that it asks of the real signal: ``batch``, ``features``, ``gradients``."""
        return frozenset({"batch"})

    def recipe(self, state: MatchingState) -> Recipe:
        """Return how to train on the summary."""
        return Recipe()

    def first_recipe(self, soft_labels: bool) -> Recipe:
        """Return the recipe before anything of it was learned: it has the form of all that follow.

        Args:
            soft_labels: whether the synthetic labels are learned.
        """
        return Recipe()

    def recipe_bytes(self) -> int:
        """Return the bytes of the numbers that its recipe will have learned."""
        return self.first_recipe(soft_labels=False).stored_bytes
