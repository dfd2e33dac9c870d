"""Files at addresses, such as ``https://`` and ``s3://``: read within bounds, written by fsspec.

A server may say anything of a file. What counts is what arrives: never more bytes than a limit,
and never slower than a small rate.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ddcore.errors import AddressError, MissingExtraError, SettingsError

WAIT = 30.0
"""Seconds without a byte after which a server is given up."""
SLOWEST = 2**14
"""Bytes a second, on average, that a server must send after the first `WAIT` seconds."""
CHUNK = 2**20
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_address(place: object) -> bool:
    """Whether ``place`` is text such as ``https://example.org/summary``, and no path."""
    return isinstance(place, str) and _SCHEME.match(place) is not None


def within(address: str, path: str) -> str:
    """Return the address of a file or folder of a place. A query of the address stays behind it."""
    parts = urlsplit(address)
    web = parts.scheme.lower() in ("http", "https")
    if not web:
        return f"{address.rstrip('/')}/{path}"
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{path}"))


def filesystem(address: str) -> tuple[Any, str]:
    """Return what fsspec reads and writes an address with, and the path that it calls it by.

    Raises:
        MissingExtraError: a package is not installed.
        SettingsError: the protocol is unknown.
    """
    from fsspec.core import url_to_fs
    from fsspec.registry import known_implementations

    scheme = address.partition("://")[0].lower()
    if "::" in address:
        raise SettingsError(f"{address!r} chains addresses: give one, such as https://example.org/summary")
    web = scheme in ("http", "https")
    try:
        settings = _web_settings() if web else {"auto_mkdir": True} if scheme == "file" else {}
        files, path = url_to_fs(address, **settings)
    except ImportError as error:
        if web:
            raise MissingExtraError(f"reading {scheme}://", "aiohttp", "remote") from error
        package = str(known_implementations.get(scheme, {}).get("class", scheme)).partition(".")[0]
        raise SettingsError(f"{scheme}:// needs {package}: pip install {package}") from error
    except ValueError as error:
        known = "memory://, file://, https://, s3://, hf://, or another that fsspec knows"
        raise SettingsError(f"{address!r} cannot be read ({error}): give {known}") from error
    return files, path


def fetch(address: str, into: Path, limit: int, *, wait: float | None = None) -> bool:
    """Copy the file at an address. Return whether there is one.

    Args:
        address: of one file.
        into: where it is written.
        limit: most bytes that are taken, whatever the server says of the length.
        wait: seconds without a byte after which it is given up; default: `WAIT`.

    Raises:
        AddressError: it is larger, cut off, too slow, or refused.
    """
    patience, started, taken = WAIT if wait is None else wait, time.monotonic(), 0
    arriving: queue.Queue[bytes | BaseException] = queue.Queue(maxsize=2)
    stopped = threading.Event()
    threading.Thread(target=_read, args=(address, arriving, stopped), daemon=True).start()
    try:
        with into.open("wb") as file:
            while True:
                left = started + patience + taken / SLOWEST - time.monotonic()
                part = _next(arriving, max(0.0, min(patience, left)))
                if part is None:
                    seconds = time.monotonic() - started
                    raise AddressError(
                        f"{address} sent {taken} bytes in {seconds:.0f} s, which is too slow: try again later"
                    )
                if isinstance(part, FileNotFoundError):
                    return False
                if isinstance(part, MissingExtraError | SettingsError):
                    raise part
                if isinstance(part, BaseException):
                    why = " ".join(str(part).split()) or type(part).__name__
                    raise AddressError(f"{address} cannot be read: {why[:300]}") from part
                if not part:
                    return True
                taken += len(part)
                if taken > limit:
                    raise AddressError(f"{address} has more than the {limit} bytes that are read of such a file")
                file.write(part)
    finally:
        stopped.set()


def _next(arriving: queue.Queue[bytes | BaseException], wait: float) -> bytes | BaseException | None:
    try:
        return arriving.get(timeout=wait)
    except queue.Empty:
        return None


def _read(address: str, arriving: queue.Queue[bytes | BaseException], stopped: threading.Event) -> None:
    """Put the parts of a file into a queue, then an empty one, or what went wrong."""

    def put(part: bytes | BaseException) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                arriving.put(part, timeout=0.2)
                break

    try:
        files, path = filesystem(address)
        streamed = {"block_size": 0, "size": 1} if address.lower().startswith("http") else {}
        with files.open(path, "rb", **streamed) as file:
            while not stopped.is_set():
                part = file.read(CHUNK)
                put(part)
                if not part:
                    return
    except Exception as error:  # whatever a file system raises is told to who waits
        put(error)


def _web_settings() -> dict[str, Any]:
    import aiohttp

    waits = aiohttp.ClientTimeout(total=None, sock_connect=WAIT, sock_read=WAIT)
    return {"client_kwargs": {"timeout": waits}}


def exists(address: str) -> bool:
    """Whether there is a file at an address."""
    files, path = filesystem(address)
    return bool(files.exists(path))


def upload(files_of: Mapping[str, Path], address: str, absent: tuple[str, ...] = ()) -> None:
    """Write files below an address, in their order, after ``absent`` ones there are removed.

    Raises:
        AddressError: the place cannot be written.
    """
    files, root = filesystem(address)
    try:
        for name in absent:
            if files.exists(f"{root}/{name}"):
                files.rm_file(f"{root}/{name}")
        for name, path in files_of.items():
            files.put_file(str(path), f"{root}/{name}")
    except Exception as error:  # whatever a file system raises
        why = " ".join(str(error).split()) or "it is read only"
        raise AddressError(f"{address} cannot be written: {why[:300]}") from error
