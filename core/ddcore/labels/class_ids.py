"""Class ids in as few bytes as they need."""

from __future__ import annotations

import torch
from torch import Tensor

from ddcore.errors import SummaryFormatError


def pack_ids(ids: Tensor, num_classes: int) -> Tensor:
    """Return class ids as one byte each, or from 257 classes on as int32."""
    return ids.to(torch.uint8 if num_classes <= 256 else torch.int32)


def ids_bytes(count: int, num_classes: int) -> int:
    """Return the bytes of ``count`` class ids as `pack_ids` makes them."""
    return count * (1 if num_classes <= 256 else 4)


def unpack_ids(stored: Tensor, count: int, num_classes: int) -> Tensor:
    """Return ``count`` class ids as int64, or raise `SummaryFormatError`."""
    if tuple(stored.shape) != (count,) or stored.dtype not in (torch.uint8, torch.int32):
        raise SummaryFormatError(
            f"class ids must be {count} of uint8 or int32, found {tuple(stored.shape)} {stored.dtype}"
        )
    ids = stored.long()
    if int(ids.min()) < 0 or int(ids.max()) >= num_classes:
        raise SummaryFormatError(f"class ids lie outside 0..{num_classes - 1}")
    return ids
