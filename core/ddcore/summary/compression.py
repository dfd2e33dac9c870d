"""Bytes after lossless compression: pixels as PNG, other numbers by LZMA."""

from __future__ import annotations

import io
import lzma
import math
from collections.abc import Iterable

import torch
from PIL import Image
from torch import Tensor


def compressed_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of tensors after lossless compression.

    Bytes of shape ``n x 1 x h x w`` or ``n x 3 x h x w`` are taken as images, and put side by side
    into one PNG. Everything else goes through LZMA together. So do the images, if that is smaller.
    """
    held = list(tensors)
    pictures = [t for t in held if t.dtype == torch.uint8 and t.ndim == 4 and t.shape[1] in (1, 3) and t.numel() > 0]
    rest = [t for t in held if not any(t is picture for picture in pictures)]
    by_png = sum(map(_png_bytes, pictures)) + _lzma_bytes(rest)
    return min(by_png, _lzma_bytes(held)) if pictures else _lzma_bytes(held)


def _png_bytes(pictures: Tensor) -> int:
    n, channels, height, width = pictures.shape
    columns = math.ceil(math.sqrt(n))
    rows = -(-n // columns)
    grid = torch.zeros(rows * columns, channels, height, width, dtype=torch.uint8)
    grid[:n] = pictures
    picture = grid.view(rows, columns, channels, height, width).permute(0, 3, 1, 4, 2)
    picture = picture.reshape(rows * height, columns * width, channels).squeeze(2)
    buffer = io.BytesIO()
    Image.fromarray(picture.numpy()).save(buffer, format="PNG", optimize=True)
    return buffer.tell()


def _lzma_bytes(tensors: Iterable[Tensor]) -> int:
    content = b"".join(t.contiguous().numpy().tobytes() for t in tensors)
    return len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)) if content else 0
