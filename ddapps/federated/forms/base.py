"""What a form is: how a client answers, and what the server makes of the answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from flwr.app import RecordDict

import ddcore as dd
from ddapps.federated.global_model import Weights
from ddapps.federated.portfolio import require_open_choice
from ddapps.federated.roles import Client, Coordinator
from ddapps.federated.terms import AUTO, Terms
from ddapps.federated.wire import Task
from ddapps.sizing import Compression
from ddcore.parts import as_architecture
from ddcore.settings import require


class Form(ABC):
    """A form of exchange.

    Attributes:
        method: that clients distil with, unless the settings name another.
        sends_summaries: whether clients answer with summaries; otherwise with weights, to one of
            Flower's own strategies.
        sends_weights: whether the global model goes to the clients.
        sends_knowledge: whether another client's summary does.
        whole: whether a client sends all of its examples.
        keeps_models: whether the server keeps the models of all clients apart.
        stays: whether an answer to an earlier round still counts.
        adds: whether clients can be asked for some classes again, in addition to what they gave.
        cites: keys of ``ddcore.citations``, beside the method's.
    """

    method: ClassVar[str] = "dm"
    sends_summaries: ClassVar[bool] = True
    sends_weights: ClassVar[bool] = False
    sends_knowledge: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    keeps_models: ClassVar[bool] = False
    stays: ClassVar[bool] = True
    adds: ClassVar[bool] = False
    cites: ClassVar[tuple[str, ...]] = ()

    def check(self, settings: Terms) -> None:
        """Raise unless the settings suit this form.

        A setting that it would ignore is an error where it promises much.
        """
        require(not self.whole or not settings.private, "whole partitions cannot be sent privately: epsilon = 0")
        if not self.sends_weights:
            self.require_defaults(settings, "transport")
        if self.sends_summaries:
            self.require_defaults(settings, "augmented")
        if settings.private:
            from ddapps.privacy import privatize

            if settings.method == AUTO:
                require_open_choice(settings)
            privatize(self.compression(settings).at(1), epsilon=settings.epsilon, delta=settings.delta)
            if settings.counts == "noised":
                from ddapps.federated.private import least_epsilon

                least = least_epsilon(settings.delta)
                require(
                    settings.epsilon >= least,
                    f"noisy class sizes leave too little of epsilon {settings.epsilon}: from {least:.3g} on",
                )

    def require_defaults(self, settings: Terms, *names: str) -> None:
        """Raise where settings that this form would ignore are not left out."""
        for name in names:
            default = type(settings).__dataclass_fields__[name].default
            require(
                getattr(settings, name) == default,
                f"form {settings.form!r} has no use for {name.replace('_', '-')}: leave it out (its default is {default!r})",
            )

    def compression(self, settings: Terms) -> Compression:
        """Return the method, before its size is known."""
        network = as_architecture(settings.network)
        if isinstance(settings.method, dd.Method):
            return Compression(settings.method, settings.preset, settings.storage, None, settings.steps or None)
        matching, composed, factorization = (settings.method or self.method).partition("/")
        made = dd.methods.compose(matching, factorization, preset=settings.preset) if composed else matching
        return Compression(made, settings.preset, settings.storage, network, settings.steps or None)

    def reply(self, client: Client, content: RecordDict) -> RecordDict:
        """Return the content of a client's reply to what it was sent."""
        task = Task.of(content)
        return self.answer(client.told(task.method), task)

    @abstractmethod
    def answer(self, client: Client, task: Task) -> RecordDict:
        """Return the content of a client's reply to a task."""

    @abstractmethod
    def next_weights(self, server: Coordinator) -> Weights:
        """Return the weights that the global model has after a round."""
