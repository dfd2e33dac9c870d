"""Where the networks of a run come from: theta drawn from a distribution P."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ddcore.networks.network import Network

if TYPE_CHECKING:
    from ddcore.run import Run


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
    def advance(self, run: Run) -> None:
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


class NetworkSource(ABC):
    """Settings of where networks come from."""

    def asks(self) -> frozenset[str]:
        """Return the questions that it asks of the real signal for networks without BatchNorm: none, or ``batch``."""
        return frozenset()

    def at_a_time(self) -> int:
        """Return how many networks it gives for one step."""
        return 1

    @abstractmethod
    def start(self, run: Run) -> Networks:
        """Return the networks of one run."""
