"""The relay that counts what a socket sees."""

from __future__ import annotations

import socket
import threading

from benchmarks.relay import Relay


def test_a_relay_passes_everything_on_and_counts_it_each_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        relay = Relay(server.getsockname()[1])
        relay.start()

        def answer() -> None:
            for _ in range(2):
                there, _ = server.accept()
                with there:
                    asked = b"".join(iter(lambda there=there: there.recv(65536), b""))  # type: ignore[misc]
                    there.sendall(asked[:1] * 3 * len(asked))

        thread = threading.Thread(target=answer)
        thread.start()
        for letter, size in ((b"a", 200_000), (b"b", 1000)):
            with socket.create_connection(("127.0.0.1", relay.port)) as client:
                client.sendall(letter * size)
                client.shutdown(socket.SHUT_WR)
                found = b"".join(iter(lambda client=client: client.recv(65536), b""))  # type: ignore[misc]
                assert found == letter * 3 * size
        thread.join()
    assert (relay.seen.up, relay.seen.down) == (201_000, 603_000)
    assert relay.idle(0.01) == (0.0, 0.0)
