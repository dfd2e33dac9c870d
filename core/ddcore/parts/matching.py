"""What a matching is: it yields the terms of a loss. The engine's loop takes steps on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ddcore.errors import UnsupportedError
from ddcore.parts.network_source import NetworkSource
from ddcore.parts.recipe import Recipe
from ddcore.parts.run import Run


@dataclass(frozen=True)
class Term:
    """A part of one step's loss. Its graph is freed as soon as its gradient is taken.

    Attributes:
        loss: a scalar.
        groups: names of the parameter groups that get a gradient of this term. Empty: all.
        update: whether the optimiser steps right after this term. Else it steps at the end.
        classes: class ids that the term is about, for observers.
    """

    loss: Tensor
    groups: tuple[str, ...] = ()
    update: bool = False
    classes: tuple[int, ...] | None = None


def united(terms: Sequence[Term]) -> Term:
    """Return several terms as one: their losses add up, and one gradient is taken of all."""
    classes = [c for term in terms for c in term.classes or ()]
    return Term(torch.stack([term.loss for term in terms]).sum(), classes=tuple(dict.fromkeys(classes)))


class MatchingState:
    """What a matching keeps during one run. Here it is nothing.

    A subclass may hold learned step sizes, for example.
    """

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Return parameters of the matching itself, in named groups. They are optimised too."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps so that a resumed run goes on from here."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of `state_dict`."""


class Matching(ABC):
    """Settings of a matching.

    Attributes:
        family: ``meta-model``, ``gradient``, ``trajectory`` or ``distribution`` (survey, sections
            2.1 to 2.4).
        trains_labels: whether its loss depends on the synthetic labels. Only then can soft labels
            be learned.
    """

    family: ClassVar[str]
    trains_labels: ClassVar[bool]

    def check_networks(self, source: NetworkSource) -> None:
        """Raise `UnsupportedError` if this matching cannot use networks from ``source``."""
        if source.at_a_time() != 1:
            raise UnsupportedError(
                f"{type(self).__name__} needs networks, one at a time; {type(source).__name__} gives {source.at_a_time()}"
            )

    def start(self, run: Run) -> MatchingState:
        """Return what this matching keeps during one run.

        Raises:
            UnsupportedError: it cannot use the run's networks.
        """
        return MatchingState()

    def shares_terms(self) -> bool:
        """Whether `terms` yields only those of this process's classes, where a run has several.

        Their losses add up to that of one process.
        """
        return False

    @abstractmethod
    def terms(self, run: Run, state: MatchingState) -> Iterator[Term]:
        """Yield the terms of the present step's loss."""

    def asks(self) -> frozenset[str]:
        """Return the questions that it asks of the real signal.

        They are among ``batch``, ``features``, ``gradients`` and ``validate``.
        """
        return frozenset({"batch"})

    def recipe(self, state: MatchingState) -> Recipe:
        """Return how to train on the summary, with what has been learned so far."""
        return Recipe()

    def first_recipe(self, soft_labels: bool) -> Recipe:
        """Return the recipe before anything is learned. All later ones have the same form.

        Args:
            soft_labels: whether the synthetic labels are learned.
        """
        return Recipe()

    def recipe_bytes(self) -> int:
        """Return the bytes of the numbers that its recipe learns."""
        return self.first_recipe(soft_labels=False).stored_bytes
