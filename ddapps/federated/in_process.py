"""Simulation in one process: Flower's own apps and messages, without its engine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

import ddcore as dd
from ddapps.federated.client import client_app
from ddapps.federated.run import Outcome, Stop, run_server
from ddapps.federated.server_data import ServerData
from ddapps.federated.settings import Settings

CLIENT_FAILED = 2
"""Flower's code of a ``ClientApp`` that raised."""


class InProcessGrid(Grid):
    """Hands every message to a ``ClientApp`` at once, node after node.

    The numbers are the same each time, and there is nothing to start.

    Attributes:
        contexts: of every node, by its id.
        bytes_sent: by all messages so far.

    Args:
        app: of all nodes.
        nodes: how many.
        config: of the run.
        node_config: of each node, beside ``partition-id`` and ``num-partitions``.
    """

    def __init__(
        self,
        app: ClientApp,
        nodes: int,
        config: Mapping[str, Any] | None = None,
        node_config: Callable[[int], Mapping[str, Any]] | None = None,
    ) -> None:
        self._app = app
        self._run = Run.create_empty(run_id=1)
        self.contexts = {
            node + 1: Context(
                run_id=1,
                node_id=node + 1,
                node_config={
                    "partition-id": node,
                    "num-partitions": nodes,
                    **(node_config(node) if node_config else {}),
                },
                state=RecordDict(),
                run_config=dict(config or {}),
            )
            for node in range(nodes)
        }
        self._replies: dict[str, Message] = {}
        self.bytes_sent = 0
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        return list(self.contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        ids = []
        for message in messages:
            message_id = str(uuid4())
            message.metadata.__dict__["_message_id"] = message_id
            reply = self.deliver(message)
            if reply is not None:
                self._replies[message_id] = reply
            ids.append(message_id)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._replies.pop(message_id) for message_id in list(message_ids) if message_id in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return self.pull_messages(self.push_messages(messages))

    def deliver(self, message: Message) -> Message | None:
        """Return a node's reply to a message, or None if there is none (yet).

        This is what a test of bad networks overrides.
        """
        received = self._through_the_wire(message)
        try:
            reply = self._app(received, self.contexts[message.metadata.dst_node_id])
        except Exception as error:
            # As Flower does it: what a client raises is its reply.
            reply = Message(Error(CLIENT_FAILED, f"{type(error).__name__}: {error}"), reply_to=received)
        return self._through_the_wire(reply)

    def _through_the_wire(self, message: Message) -> Message:
        """Return what arrives of a message: a copy, made of the bytes that Flower would send."""
        objects = {key: item.deflate() for key, item in get_all_nested_objects(message).items()}
        self.bytes_sent += sum(map(len, objects.values()))
        received = inflate_object_from_contents(message.object_id, objects)
        assert isinstance(received, Message)
        received.metadata.__dict__["_message_id"] = message.metadata.message_id
        return received


@contextmanager
def flower_unheard() -> Iterator[None]:
    """Let Flower log its errors alone. Its page on each run hides what is said of many."""
    logger = logging.getLogger("flwr")
    before = logger.level
    logger.setLevel(max(before, logging.ERROR))
    try:
        yield
    finally:
        logger.setLevel(before)


def simulate(
    settings: Settings,
    parts: Sequence[dd.TargetData],
    data: ServerData,
    directory: Any = None,
    *,
    stop: Stop | None = None,
    progress: Callable[[str], None] | None = None,
) -> Outcome:
    """Run all rounds in this process.

    What private clients spend is remembered until it ends: it is a simulation on the caller's data.

    Args:
        settings: of the run.
        parts: the data of every client.
        data: of the server.
        directory: as in `run_server`.
        stop: as in `run_server`.
        progress: called with a line of text before a client begins.
    """
    settings = replace(settings, min_clients=min(settings.min_clients, len(parts)))
    method = settings.method if isinstance(settings.method, dd.Method) else None

    def part(context: Context) -> dd.TargetData:
        number = int(context.node_config["partition-id"])
        if progress is not None:
            progress(f"client {number + 1} of {len(parts)}")
        return parts[number]

    app = client_app(part, method=method)
    with TemporaryDirectory(prefix="clients-") as place:
        folders = {node: {"directory": f"{place}/{node}"} for node in range(len(parts))}
        grid = InProcessGrid(app, len(parts), settings.to_config(), folders.__getitem__ if settings.private else None)
        return run_server(grid, settings, data, directory, stop=stop)
