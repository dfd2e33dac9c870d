"""What a form is: how a client answers, and what the server makes of the answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from flwr.app import RecordDict

import ddcore as dd
from ddapps.federated.transport import decoded
from ddapps.sizing import Compression
from ddcore.engine import derive_seed, resolve_device
from ddcore.networks import Network, as_architecture
from ddcore.settings import require

if TYPE_CHECKING:
    from ddapps.federated.server import Server
    from ddapps.federated.settings import Settings
    from ddapps.federated.wire import Task

Weights = Mapping[str, torch.Tensor]


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
    settings: Settings
    name: str
    state: RecordDict
    directory: Path | None = None

    def seed(self, round: int) -> int:
        """Return the seed of one round's public random numbers; where one answer is enough, it is the same in whatever round it is asked."""
        return derive_seed(self.settings.seed, "client", self.name, 0 if self.settings.one_answer else round)

    def network(self, weights: Weights) -> Network:
        """Return the global model."""
        return with_weights(self.settings, self.target.spec, weights)

    def counts(self) -> dict[int, int]:
        """Return the sizes of the classes that it has."""
        return {class_id: count for class_id, count in self.target.counts().items() if count}


class Form(ABC):
    """A form of exchange.

    Attributes:
        method: that clients distil with, unless the settings name another.
        sends_summaries: whether clients answer with summaries; otherwise with weights, to one of Flower's own strategies.
        sends_weights: whether the global model goes to the clients.
        sends_knowledge: whether another client's summary does.
        whole: whether a client sends all of its examples.
        stays: whether an answer to an earlier round still counts.
        cites: keys of ``ddcore.citations``, beside the method's.
    """

    method: ClassVar[str] = "dm"
    sends_summaries: ClassVar[bool] = True
    sends_weights: ClassVar[bool] = False
    sends_knowledge: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    stays: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = ()

    def check(self, settings: Settings) -> None:
        """Raise unless the settings suit this form; of those that it would ignore, some that promise much are errors."""
        require(not self.whole or not settings.private, "whole partitions cannot be sent privately: epsilon = 0")
        if not self.sends_weights:
            self._require_defaults(settings, "transport")
        if settings.private:
            from ddapps.privacy import privatize

            privatize(self.compression(settings).at(1), epsilon=settings.epsilon, delta=settings.delta)
            if settings.counts == "noised":
                from ddapps.federated.private import least_epsilon

                least = least_epsilon(settings.delta)
                require(
                    settings.epsilon >= least,
                    f"noisy class sizes leave too little of epsilon {settings.epsilon}: from {least:.3g} on",
                )

    def _require_defaults(self, settings: Settings, *names: str) -> None:
        for name in names:
            default = type(settings).__dataclass_fields__[name].default
            require(
                getattr(settings, name) == default,
                f"form {settings.form!r} has no use for {name.replace('_', '-')}: leave it out (its default is {default!r})",
            )

    def compression(self, settings: Settings) -> Compression:
        """Return the method, before its size is known."""
        network = as_architecture(settings.network)
        if isinstance(settings.method, dd.Method):
            return Compression(settings.method, settings.preset, settings.storage, None, settings.steps or None)
        matching, composed, factorization = settings.chosen_method.partition("/")
        made = dd.methods.compose(matching, factorization, preset=settings.preset) if composed else matching
        return Compression(made, settings.preset, settings.storage, network, settings.steps or None)

    @abstractmethod
    def answer(self, client: Client, task: Task) -> RecordDict:
        """Return the content of a client's reply."""

    @abstractmethod
    def next_weights(self, server: Server) -> Weights:
        """Return the weights that the global model has after a round."""


def initial_network(settings: Settings, spec: dd.Spec) -> Network:
    """Return the global model before the first round; client and server draw the same."""
    architecture = as_architecture(settings.network)
    return architecture.build(spec.shape, spec.num_classes, seed=derive_seed(settings.seed, "global model"))


def with_weights(settings: Settings, spec: dd.Spec, weights: Weights) -> Network:
    """Return the global model with these weights.

    Raises:
        SettingsError: they are not the network's.
    """
    network = initial_network(settings, spec)
    held = network.module.state_dict()
    weights = decoded(weights, held)
    same = set(held) == set(weights) and all(held[name].shape == weights[name].shape for name in held)
    require(
        same,
        f"the weights that were sent are not those of {settings.network}: server and clients must name one network",
    )
    network.module.load_state_dict(dict(weights))
    return network.to(resolve_device(settings.device))
