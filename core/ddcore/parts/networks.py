"""The networks of one run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ddcore.parts.network import Network


class Networks(ABC):
    """The networks of one run. Their weights take no gradients until a part asks for them (`Network.differentiated`).

    Attributes:
        episode: how many networks have been drawn before the present one.
        age: how many matching steps the present network has behind it.
    """

    episode: int = 0
    age: int = 0

    @abstractmethod
    def current(self) -> Sequence[Network]:
        """Return the networks that this step matches on."""

    @abstractmethod
    def advance(self) -> None:
        """Move on between two steps."""

    def record(self) -> dict[str, Any]:
        """Return entries for the records of this run's summaries: what the networks cost, say."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs to go on."""
        return {"episode": self.episode, "age": self.age}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of `state_dict`."""
        self.episode, self.age = state["episode"], state["age"]


class Segments(Networks):
    """Networks that know where real training took them from where they are."""

    @abstractmethod
    def target(self) -> list[Tensor]:
        """Return the weights that the present network's expert had later, in the order of ``named_parameters()``."""
