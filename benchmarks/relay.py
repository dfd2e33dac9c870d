"""A relay between clients and a server that counts what a socket sees."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

CHUNK = 2**16


@dataclass
class Counted:
    """Bytes that went through, in both directions."""

    up: int = 0
    down: int = 0

    def minus(self, other: Counted) -> Counted:
        """Return the difference."""
        return Counted(self.up - other.up, self.down - other.down)


@dataclass
class Relay:
    """Passes TCP connections on, and counts their bytes; those of TCP's own headers are not seen.

    Attributes:
        to: the server's port on this machine.
        port: where clients connect; known once it has started.
        seen: bytes so far; ``up`` is towards the server.
    """

    to: int
    port: int = 0
    seen: Counted = field(default_factory=Counted)

    def start(self) -> None:
        """Begin to listen, in a thread of its own that ends with the process."""
        listening = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve(listening)), daemon=True).start()
        listening.wait()

    async def _serve(self, listening: threading.Event) -> None:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        listening.set()
        async with server:
            await server.serve_forever()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection("127.0.0.1", self.to)
        await asyncio.gather(self._pass(reader, onward, "up"), self._pass(there, writer, "down"))
        onward.close()
        writer.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: str) -> None:
        with suppress(ConnectionError):
            while chunk := await source.read(CHUNK):
                setattr(self.seen, way, getattr(self.seen, way) + len(chunk))
                sink.write(chunk)
                await sink.drain()
        with suppress(OSError):
            sink.write_eof()

    def idle(self, seconds: float) -> tuple[float, float]:
        """Return bytes per second, up and down, of some time in which nobody is asked anything."""
        before = Counted(self.seen.up, self.seen.down)
        time.sleep(seconds)
        during = self.seen.minus(before)
        return during.up / seconds, during.down / seconds
