"""Bytes that really travel, per round and client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

PAUSE = 0.1
"""Seconds between two looks for replies."""


def message_bytes(message: Message) -> int:
    """Return the bytes of a message as Flower sends it.

    They are those of its own object and of all records and arrays in it, equal ones once.
    """
    return sum(len(item.deflate()) for item in get_all_nested_objects(message).values())


@dataclass(frozen=True)
class Transfer:
    """One message.

    Attributes:
        round: in which it was sent or came.
        node: the client's connection.
        up: whether it came from the client.
        bytes: of the message.
    """

    round: int
    node: int
    up: bool
    bytes: int


class MeteredGrid(Grid):
    """A grid that counts what goes through it, and keeps what came too late.

    Args:
        grid: of Flower.

    Attributes:
        transfers: all messages so far.
        round: to which messages are counted.
        enough: tells of the replies so far whether an exchange may end before all have come.
        rounds_by_itself: whether every exchange of train messages is a new round, and gives its own
            replies alone. A strategy that turns it off sets ``round``, and is given late replies
            too.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self.transfers: list[Transfer] = []
        self.round = 0
        self.rounds_by_itself = True
        self.enough: Callable[[Sequence[Message]], bool] = lambda replies: False
        self._waiting: dict[str, int] = {}
        self._asked: dict[str, int] = {}

    def set_run(self, run: Any) -> None:
        self._grid.set_run(run)

    @property
    def run(self) -> Any:
        return self._grid.run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        return self._grid.get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        sent = list(messages)
        for message in sent:
            self.transfers.append(
                Transfer(self.round, message.metadata.dst_node_id, up=False, bytes=message_bytes(message))
            )
        ids = list(self._grid.push_messages(sent))
        for message in sent:
            # Flower gives a message its id when it is pushed. One that could not be pushed has
            # none.
            if message.metadata.message_id:
                self._asked[message.metadata.message_id] = message.metadata.dst_node_id
                self._waiting[message.metadata.message_id] = self.round
        return ids

    def asked(self, reply: Message) -> int:
        """Return the node that was asked what this replies to.

        An error that Flower itself reports names no client.
        """
        return self._asked.get(reply.metadata.reply_to_message_id, reply.metadata.src_node_id)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = list(self._grid.pull_messages(message_ids))
        for reply in replies:
            self.transfers.append(Transfer(self.round, self.asked(reply), up=True, bytes=message_bytes(reply)))
            self._waiting.pop(reply.metadata.reply_to_message_id, None)
        return replies

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        sent = list(messages)
        if not sent:
            return []
        if self.rounds_by_itself and any(message.metadata.message_type.startswith("train") for message in sent):
            self.round += 1
        ends = None if timeout is None else time.monotonic() + timeout
        missing = {message_id for message_id in self.push_messages(sent) if message_id}
        replies: list[Message] = []
        while missing:
            found = list(self.pull_messages(missing if self.rounds_by_itself else list(self._waiting)))
            replies += found
            missing -= {reply.metadata.reply_to_message_id for reply in found}
            if not missing or self.enough(replies) or (ends is not None and time.monotonic() >= ends):
                break
            time.sleep(PAUSE)
        return replies

    def bytes_by_round(self, *, up: bool) -> dict[int, int]:
        """Return the bytes of each round, in one direction."""
        found: dict[int, int] = {}
        for transfer in self._in_direction(up):
            found[transfer.round] = found.get(transfer.round, 0) + transfer.bytes
        return found

    def total(self, *, up: bool) -> int:
        """Return all bytes in one direction."""
        return sum(transfer.bytes for transfer in self._in_direction(up))

    def _in_direction(self, up: bool) -> Iterator[Transfer]:
        return (transfer for transfer in self.transfers if transfer.up == up)
