"""Lossless compression of what travels, and its opening within a bound."""

from __future__ import annotations

import zlib

from ddcore.errors import SummaryFormatError


def squeeze(content: bytes) -> bytes:
    """Return bytes, losslessly compressed (zlib)."""
    return zlib.compress(content, level=9)


def unsqueezed(content: bytes, limit: int) -> bytes:
    """Return what `squeeze` compressed; nothing longer than ``limit`` is ever made of it.

    Raises:
        SummaryFormatError: it is longer, or damaged.
    """
    reader = zlib.decompressobj()
    try:
        found = reader.decompress(content, limit + 1)
    except zlib.error as error:
        raise SummaryFormatError(f"its tensors cannot be decompressed: {error}") from error
    if len(found) > limit:
        raise SummaryFormatError(f"it has more than the {limit} bytes that were agreed, headers included")
    if not reader.eof or reader.unused_data:
        raise SummaryFormatError("its tensors are truncated, or something follows them")
    return found
