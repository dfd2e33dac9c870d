"""The networks of one run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ddcore.parts.initial_weights import InitialWeights
from ddcore.parts.network import Network


class Networks(ABC):
    """The networks of one run.

    Their weights take no gradients until a part asks for them by `Network.differentiated`.

    Attributes:
        episode: how many networks were drawn before the present one.
        age: how many matching steps the present network has behind it.
    """

    episode: int = 0
    age: int = 0

    @property
    def turn(self) -> int:
        """Which of several networks that stay the present one is, from 0."""
        return 0

    @abstractmethod
    def current(self) -> Sequence[Network]:
        """Return the networks that this step matches on."""

    @abstractmethod
    def advance(self) -> None:
        """Move on between two steps."""

    def initial(self) -> InitialWeights | None:
        """Return the weights that what is learned here is for. None: it is for any weights."""
        return None

    def record(self) -> dict[str, Any]:
        """Return entries for the records of this run's summaries: what networks cost, say."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps so that a resumed run goes on from here."""
        return {"episode": self.episode, "age": self.age}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of `state_dict`."""
        self.episode, self.age = state["episode"], state["age"]


class Segments(Networks):
    """Networks at one point of a training on real data, with the weights of a later point."""

    @abstractmethod
    def target(self) -> list[Tensor]:
        """Return the weights that the present network had later in that training.

        They are in the order of ``named_parameters()``.
        """
