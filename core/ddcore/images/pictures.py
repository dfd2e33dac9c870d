"""`Picture`: a stored image of a folder or a tar, and what it is brought to."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddcore.errors import InputDataError, Setting

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


@dataclass(frozen=True, slots=True)
class Picture:
    """A stored image, not yet read.

    Attributes:
        name: shown in errors.
        label: its class id.
        file: where its bytes are.
        start, size: which of the file's bytes are the image's.
        changed: when the file was changed, in nanoseconds.
    """

    name: str
    label: int
    file: Path
    start: int
    size: int
    changed: int

    @contextmanager
    def opened(self) -> Iterator[Image.Image]:
        """Open the image. Nothing but its header is read."""
        from PIL import ContainerIO, Image

        with self.file.open("rb") as file, Image.open(ContainerIO.ContainerIO(file, self.start, self.size)) as image:
            yield image


@dataclass(frozen=True)
class Header:
    """What a stored image says of itself before it is decoded."""

    height: int
    width: int
    grey: bool
    deep: bool


@dataclass(frozen=True)
class Form:
    """What every image is brought to.

    The largest part about its centre that has the wanted proportions is resized. That is: the short
    side is resized, the long one cut.

    Attributes:
        channels: 1 or 3. None: 1 where all images are grey, else 3.
        sides: height and width. None: those of the images, which must not differ.
        enlarge: whether images that are smaller are accepted.
    """

    channels: int | None = None
    sides: tuple[int, int] | None = None
    enlarge: bool = False


def header_of(picture: Picture) -> Header | None:
    """Return what an image says of itself; None: it cannot be read."""
    try:
        with picture.opened() as image:
            return header_of_image(image)
    except _BROKEN:
        return None


def header_of_image(image: Image.Image) -> Header:
    """Return what an opened image says of itself."""
    return Header(image.height, image.width, image.mode in ("1", "L"), image.mode.startswith(("I", "F")))


def pixels_of(picture: Picture, shape: Sequence[int]) -> bytes | None:
    """Return the bytes of an image of this shape, channels first; None: it cannot be read."""
    try:
        with picture.opened() as image:
            return pixels_of_image(image, shape).tobytes()
    except _BROKEN:
        return None


def pixels_of_image(image: Image.Image, shape: Sequence[int]) -> np.ndarray[Any, Any]:
    """Return an opened image as bytes of this shape, channels first."""
    channels, height, width = shape
    pixels = np.asarray(_cut(image.convert("L" if channels == 1 else "RGB"), height, width))
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)


def _cut(image: Image.Image, height: int, width: int) -> Image.Image:
    scale = max(height / image.height, width / image.width)
    left, top = (image.width - width / scale) / 2, (image.height - height / scale) / 2
    box = (max(left, 0), max(top, 0), min(image.width - left, image.width), min(image.height - top, image.height))
    return image.resize((width, height), box=box)


# What Pillow raises of bytes that are no image, or a part of one.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error)


def resolved(form: Form, names: Sequence[str], headers: Sequence[Header | None]) -> tuple[int, int, int]:
    """Return channels, height and width that all images are brought to.

    Args:
        form: what is wanted.
        names: of the images, for messages.
        headers: what the images say of themselves.

    Raises:
        InputDataError: none can be read, or one has more than 8 bits, is smaller than wanted, or of
            another size where none is wanted.
    """
    readable = [(name, header) for name, header in zip(names, headers, strict=True) if header is not None]
    if not readable:
        raise InputDataError(f"none of {len(names)} images is readable: the first is {names[0]}")
    deep = [name for name, header in readable if header.deep]
    if deep:
        raise InputDataError(f"{some(deep)} of more than 8 bits per pixel: convert to 8")
    sides = form.sides
    if sides is None:
        sizes = {(header.height, header.width) for _, header in readable}
        if len(sizes) > 1:
            raise InputDataError("the images differ in size: give ", Setting("size"), " to resize them")
        (sides,) = sizes
    height, width = sides
    small = [name for name, h in readable if h.height < height or h.width < width]
    if small and not form.enlarge:
        raise InputDataError(
            f"{some(small)} smaller than {height} x {width}: choose a smaller size, or give ", Setting("enlarge", True)
        )
    return form.channels or (1 if all(header.grey for _, header in readable) else 3), height, width


def some(names: Sequence[str]) -> str:
    """Return how many images these are, and the first of them, for a message."""
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} image{'s' if len(names) > 1 else ''} ({shown})"
