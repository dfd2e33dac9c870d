"""Flower's own strategies on weights that come from strangers, in any transport."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, FedProx

from ddapps.federated.agreement import failure_of, whole
from ddapps.federated.forms.weights import ARRAYS, NUM_EXAMPLES, weights_in
from ddapps.federated.global_model import Weights
from ddapps.federated.server import Server
from ddapps.federated.settings import Settings
from ddapps.federated.traffic import MeteredGrid
from ddapps.federated.transport import PLAIN, arrays_of, decoded, encoded
from ddcore.errors import DAMAGES, SummaryFormatError


class Guarded:
    """In front of one of Flower's strategies, which sees sound weights in float32 alone.

    Weights go out in the transport of the run. A reply that is an error, is damaged or has other
    weights than the global model is a rejection of the server, with its reason.

    Attributes:
        server: of the run.
        grid: tells which node was asked.
        taken: replies that counted, of all rounds.
    """

    server: Server
    grid: MeteredGrid
    taken: int = 0

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        self.server.round = server_round
        messages = list(super().configure_train(server_round, arrays, config, grid))  # type: ignore[misc]
        transport = self.server.settings.transport
        if transport == PLAIN:
            return messages
        sent = encoded(decoded(arrays_of(arrays), self.server.weights), transport)
        for message in messages:
            others = {key: record for key, record in message.content.items() if not isinstance(record, ArrayRecord)}
            message.content = RecordDict({**others, transport: sent})
        return messages

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Any:
        sound = []
        for reply in replies:
            try:
                reply.content = self._sound(reply)
            except SummaryFormatError as error:
                self.server.reject(self.grid.asked(reply), str(error))
            else:
                sound.append(reply)
        self.taken += len(sound)
        return super().aggregate_train(server_round, sound)  # type: ignore[misc]

    def _sound(self, reply: Message) -> RecordDict:
        weights, count = sound_weights(reply, self.server.weights)
        return RecordDict({ARRAYS: encoded(weights, PLAIN), "metrics": MetricRecord({NUM_EXAMPLES: count})})


class GuardedFedAvg(Guarded, FedAvg):
    """Flower's FedAvg."""


class GuardedFedProx(Guarded, FedProx):
    """Flower's FedProx."""


def weights_strategy(server: Server, grid: MeteredGrid) -> GuardedFedAvg | GuardedFedProx:
    """Return Flower's own strategy for the form of a server that is sent weights."""
    settings: Settings = server.settings
    asking: dict[str, Any] = {
        "fraction_train": settings.fraction,
        "fraction_evaluate": 0.0,
        "min_train_nodes": settings.min_clients,
        "min_evaluate_nodes": 0,
        "min_available_nodes": settings.min_clients,
    }
    strategy: GuardedFedAvg | GuardedFedProx
    if settings.form == "fedprox":
        strategy = GuardedFedProx(proximal_mu=settings.proximal_mu, **asking)
    else:
        strategy = GuardedFedAvg(**asking)
    strategy.server, strategy.grid = server, grid
    return strategy


def sound_weights(reply: Message, like: Weights) -> tuple[dict[str, torch.Tensor], int]:
    """Return a reply's weights and its number of examples.

    Args:
        reply: from a stranger, in any transport.
        like: weights of the same network.

    Raises:
        SummaryFormatError: it is an error, or not what was agreed; the message says why.
    """
    if reply.has_error():
        raise SummaryFormatError(failure_of(reply))
    try:
        weights = decoded(arrays_of(weights_in(reply.content)), like)
        (metrics,) = reply.content.metric_records.values()
        count = whole(metrics[NUM_EXAMPLES])
    except SummaryFormatError:
        raise
    except DAMAGES as error:
        raise SummaryFormatError(f"malformed: {error}") from error
    if set(weights) != set(like) or any(weights[name].shape != held.shape for name, held in like.items()):
        raise SummaryFormatError("it has other weights than the global model")
    for name, weight in weights.items():
        if not math.isfinite(float(weight.double().abs().sum())):
            raise SummaryFormatError(f"its weight {name!r} is not finite")
    if not count:
        raise SummaryFormatError("it was trained on no examples")
    return {name: weights[name].to(held.dtype) for name, held in like.items()}, count
