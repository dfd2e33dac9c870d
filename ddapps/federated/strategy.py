"""`DistillationStrategy`: Flower's rounds, with summaries in place of weights."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy
from flwr.supercore.logger import log

import ddcore as dd
from ddapps.federated.choosing import named
from ddapps.federated.global_model import Weights
from ddapps.federated.server import Server
from ddapps.federated.server_data import ServerData
from ddapps.federated.settings import Settings
from ddapps.federated.terms import AUTO
from ddapps.federated.traffic import MeteredGrid
from ddapps.federated.transport import PLAIN, arrays_of, decoded, encoded
from ddapps.federated.wire import nothing_came
from ddcore.errors import UnsupportedError


class DistillationStrategy(Strategy):
    """Asks clients for summaries, trains the global model on their union, tests it.

    Args:
        settings: of the run; clients must have the same.
        data: of the server.
        directory: where the state is kept. A run that was interrupted goes on after its last
            complete round.

    Attributes:
        server: its state.
        choice: the record of a method that was chosen (``auto``); None: the settings name it.

    Example:
        ``DistillationStrategy(settings, ServerData.of(target)).start(grid)`` inside of a
            ``ServerApp``'s ``main``.
    """

    def __init__(self, settings: Settings, data: ServerData, directory: str | Path | None = None) -> None:
        kept = None if directory is None else Path(directory)
        chosen = named(settings, data, directory=kept) if settings.method == AUTO else None
        self.server = Server(chosen.settings if chosen else settings, data, directory)
        self.server.method_name = chosen.name if chosen else ""
        self.choice = chosen.record if chosen else None
        if self.server.agreement is None:
            raise UnsupportedError(f"form {settings.form} is run by Flower's own strategy: run_server does that")
        self._grid: MeteredGrid | None = None
        self._seen = 0

    @property
    def union(self) -> dd.DataSummary:
        """The union of all clients' last summaries."""
        return self.server.union()

    def summary(self) -> None:
        settings = self.server.settings
        log(logging.INFO, "\t├──> form %s, method %s", settings.form, settings.chosen_method)
        log(logging.INFO, "\t└──> a reply may store %s bytes", self.server._agreed().max_bytes)

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord | None = None,
        num_rounds: int | None = None,
        timeout: float | None = None,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run the rounds that are left, as `Strategy.start` does.

        Args:
            grid: of Flower.
            initial_arrays: weights of the global model, for forms that send them; default: drawn
                from the settings' seed.
            num_rounds: of the whole run; default: the settings'.
            timeout: seconds of a round; default: the settings'.
            train_config: not used; clients read the run's configuration.
            evaluate_config: not used.
            evaluate_fn: as in `Strategy.start`; default: the accuracy on the server's test data,
                which is in ``server.history`` in any case. It comes back by rounds in the result's
                ``evaluate_metrics_serverapp``.

        Raises:
            NoReplyError: no reply of any client has counted.
        """
        self._grid = grid if isinstance(grid, MeteredGrid) else MeteredGrid(grid)
        self._grid.round, self._grid.rounds_by_itself = self.server.round, False
        self._grid.enough = self._enough
        if initial_arrays is not None and self.server.round == 0:
            self.server.begin_from(decoded(arrays_of(initial_arrays), self.server.weights))
        left = (num_rounds or self.server.settings.rounds) - self.server.round
        result = super().start(
            self._grid,
            as_arrays(self.server.weights),
            max(left, 0),
            timeout or self.server.settings.timeout,
            train_config,
            evaluate_config,
            evaluate_fn or self._tested,
        )
        if not self.server.contributions:
            raise nothing_came(self.server.rejections, self.server.round)
        return result

    def _tested(self, server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
        """Return the accuracy after a round, once anything has come."""
        last = self.server.history[-1]["accuracy"] if self.server.history else None
        return None if last is None else MetricRecord({"accuracy": last})

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        server = self.server
        if self._grid is not None:
            self._grid.round = server.round + 1
        nodes = [] if server.complete() else connected(grid, server.settings)
        tasks = server.tasks(server.asks(nodes, server.settings.seed))
        log(logging.INFO, "round %s asks %s of %s clients", server.round, len(tasks), len(nodes))
        return [
            Message(task.to_content(), dst_node_id=node, message_type=MessageType.TRAIN, group_id=str(task.round))
            for node, task in tasks.items()
        ]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        server = self.server
        self._take(list(replies))
        self._seen = 0
        server.finish_round(*self._travelled())
        counted = {"clients": server.arrived, "clients-in-union": len(server.contributions)}
        return as_arrays(server.weights), MetricRecord(counted)  # type: ignore[arg-type]

    def _enough(self, replies: Sequence[Message]) -> bool:
        self._take(replies)
        return self.server.heard()

    def _take(self, replies: Sequence[Message]) -> None:
        """Take those of an exchange's replies that have come since the last look."""
        new, self._seen = replies[self._seen :], len(replies)
        if not new or self._grid is None:
            self.server.take(new)
        else:
            self.server.take(new, list(self._grid.get_node_ids()), self._grid.asked)

    def _travelled(self) -> tuple[int, int]:
        """Return the bytes of the present round, up and down."""
        if self._grid is None:
            return 0, 0
        now = self._grid.round
        return self._grid.bytes_by_round(up=True).get(now, 0), self._grid.bytes_by_round(up=False).get(now, 0)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        return None


def connected(grid: Grid, settings: Settings) -> list[int]:
    """Return the connected nodes; wait until there are enough, up to the settings' timeout."""
    ends = time.monotonic() + settings.timeout
    while len(nodes := sorted(grid.get_node_ids())) < settings.min_clients and time.monotonic() < ends:
        log(logging.INFO, "waiting for clients: %s of %s are connected", len(nodes), settings.min_clients)
        time.sleep(1)
    return nodes


def as_arrays(weights: Weights) -> ArrayRecord:
    """Return weights as a record."""
    return encoded(weights, PLAIN)  # type: ignore[return-value]
