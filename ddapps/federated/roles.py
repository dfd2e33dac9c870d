"""Who takes part, as a form sees them: a client at work, and the server at the end of a round."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flwr.app import RecordDict

import ddcore as dd
from ddapps.federated.global_model import Weights, with_weights
from ddapps.federated.portfolio import method_named
from ddapps.federated.server_data import ServerData
from ddapps.federated.terms import AUTO, Terms
from ddapps.federated.wire import Contribution
from ddcore.ground import derive_seed
from ddcore.parts import Network


@dataclass(frozen=True)
class Client:
    """A client at work.

    Attributes:
        target: its data.
        settings: of the run.
        name: its own, the same after it was restarted.
        state: what Flower keeps of it between rounds.
        directory: its own folder; None: it has none.
    """

    target: dd.TargetData
    settings: Terms
    name: str
    state: RecordDict
    directory: Path | None = None

    def seed(self, round: int, *, again: bool = False) -> int:
        """Return the seed of one round's public random numbers.

        Where one answer is enough, it is the same in whatever round it is asked. A supplement,
        which is asked of it ``again``, has one of its round.
        """
        once = self.settings.one_answer and not again
        return derive_seed(self.settings.seed, "client", self.name, 0 if once else round)

    def told(self, method: str) -> Client:
        """Return the client with the method that the server names, where settings leave it to it.

        Raises:
            UnknownNameError: it is none of the portfolio.
        """
        if self.settings.method != AUTO:
            return self
        named = method_named(self.target.spec, method, self.settings.network)
        return replace(self, settings=replace(self.settings, method=named))

    def network(self, weights: Weights) -> Network:
        """Return the global model."""
        return with_weights(self.settings, self.target.spec, weights)

    def counts(self) -> dict[int, int]:
        """Return the sizes of the classes that it has."""
        return {class_id: count for class_id, count in self.target.counts().items() if count}


class Coordinator(ABC):
    """The server at the end of a round: what a form may ask of it to move the global model on.

    Attributes:
        settings: of the run.
        data: what it has of real data.
        weights: of the global model.
    """

    settings: Terms
    data: ServerData
    weights: Weights

    @abstractmethod
    def answers(self) -> list[Contribution]:
        """Return the contributions to the present round."""

    @abstractmethod
    def drop(self, contribution: Contribution, reason: str) -> None:
        """Take a contribution out of the union: it was kept, and turns out not to count."""

    @abstractmethod
    def shares(self, sizes: Sequence[int]) -> list[float]:
        """Return the weights of clients, which add up to 1, from what they say of themselves."""

    @abstractmethod
    def trained(self, network: Network) -> Weights:
        """Train a network on the union of all last summaries; return its weights."""
