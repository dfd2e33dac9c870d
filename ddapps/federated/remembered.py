"""What a client remembers between rounds: in Flower's context, and in its own folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from flwr.app import ConfigRecord

from ddapps.federated.roles import Client
from ddcore.errors import CheckpointError
from ddcore.ground import write_atomically

OWNER = "owner"


class Remembered:
    """Named records of one client.

    Flower keeps a context as long as its node lives and its run lasts. A folder outlives both. It
    belongs to one client, and need not be there.

    Args:
        client: whose.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs of this client out of its folder inside the block.

        Raises:
            CheckpointError: another run is in it.
        """
        if self._client.directory is None:
            yield
            return
        self._client.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._client.directory / "lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CheckpointError("another run of this client is at work: ask again when it has ended") from error
            yield

    def get(self, name: str) -> ConfigRecord | None:
        """Return a record, or None if there is none.

        Raises:
            CheckpointError: it is damaged, or of another client.
        """
        record = self._client.state.config_records.get(name)
        path = self._client.directory and self._client.directory / f"{name}.record"
        if path and path.exists():
            try:
                record = ConfigRecord.inflate(path.read_bytes())
            except Exception as error:
                raise CheckpointError(
                    f"{path} is damaged: what this client has spent or sent is not known any more"
                ) from error
        if record is None:
            return None
        if record.get(OWNER) != self._client.name:
            raise CheckpointError(
                f"what is remembered as {name!r} belongs to client {record.get(OWNER)!r}: give each client a folder of its own"
            )
        return ConfigRecord({name: value for name, value in record.items() if name != OWNER})

    def put(self, name: str, record: ConfigRecord) -> None:
        """Keep a record; on disk when this returns, where there is a folder."""
        kept = ConfigRecord({**record, OWNER: self._client.name})
        self._client.state[name] = kept
        if self._client.directory is not None:
            self._client.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._client.directory / f"{name}.record", kept.deflate(), mode=0o600)
