"""What a client remembers between rounds: in Flower's context, and in a folder of its own, where it has one."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from flwr.app import ConfigRecord

from ddcore.errors import CheckpointError
from ddcore.settings import describe
from ddcore.summary import write_atomically

if TYPE_CHECKING:
    from ddapps.federated.forms.base import Client

KEY = "key"


class Remembered:
    """Named records of one client in one run; those of other settings or data are not found.

    Flower keeps a context as long as its node lives; a folder outlives it.

    Args:
        client: whose.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        facts = json.dumps([describe(client.settings), client.target.fingerprint()], sort_keys=True)
        self._key = hashlib.sha256(facts.encode()).hexdigest()[:32]

    def get(self, name: str) -> ConfigRecord | None:
        """Return a record, or None if there is none."""
        record = self._client.state.config_records.get(name)
        path = self._client.directory and self._client.directory / f"{name}.record"
        if record is None and path and path.exists():
            try:
                record = ConfigRecord.inflate(path.read_bytes())
            except Exception as error:
                raise CheckpointError(
                    f"{path} is damaged: what this client has spent or sent is not known any more"
                ) from error
        if record is None or record.get(KEY) != self._key:
            return None
        return ConfigRecord({name: value for name, value in record.items() if name != KEY})

    def put(self, name: str, record: ConfigRecord) -> None:
        """Keep a record; on disk when this returns, where there is a folder."""
        kept = ConfigRecord({**record, KEY: self._key})
        self._client.state[name] = kept
        if self._client.directory is not None:
            self._client.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._client.directory / f"{name}.record", kept.deflate(), mode=0o600)
