"""Pixels of stored images, decoded and resized once into a file that later runs draw from."""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import shutil
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from ddcore.errors import DistillationWarning, InputDataError, Setting, UnknownNameError
from ddcore.ground.mapped import mapped
from ddcore.ground.tensorfile import write_atomically
from ddcore.images.pictures import Form, Picture, header_of, pixels_of, resolved, some

R = TypeVar("R")
CORRUPT = ("refuse", "skip")
PIXELS, FACTS = "pixels", "facts.json"
_VERSION = 1
_AHEAD = 8
"""Images that each thread may be ahead of what is written."""


def cached(pictures: Sequence[Picture], form: Form, folder: Path, *, corrupt: str = "refuse") -> tuple[Tensor, Tensor]:
    """Return pixels ``n x channels x height x width``, uint8 in a mapped file, and labels.

    Images are decoded by threads, written in order, and found again by a hash of their names,
    sizes and times of change, and of the form. The file is written beside its place and then
    renamed. Of several processes one writes, and the others wait for it.

    Args:
        pictures: at least one.
        form: what they are brought to.
        folder: where such files are kept.
        corrupt: ``refuse``, or ``skip`` images that cannot be read: a warning counts and names
            them.

    Raises:
        InputDataError: images that cannot be used (`resolved`), or cannot be read; or the file
            cannot be written.
    """
    if corrupt not in CORRUPT:
        raise UnknownNameError("way with corrupt images", corrupt, CORRUPT)
    place = folder / _key(pictures, form)
    try:
        facts = _facts(place) or _written(pictures, form, place)
        with (place / PIXELS).open("rb") as file:
            if os.fstat(file.fileno()).st_size != math.prod(facts["shape"]):
                raise _damaged(place)
            _tell(pictures, facts["corrupt"], corrupt)
            pixels = mapped(file, facts["shape"], folder)
    except OSError as error:
        raise InputDataError(
            f"pixels cannot be kept in {folder} ({error}): free space there, or set DDCORE_CACHE to another folder"
        ) from error
    left_out = set(facts["corrupt"])
    return pixels, torch.tensor([p.label for n, p in enumerate(pictures) if n not in left_out])


def _tell(pictures: Sequence[Picture], broken: Sequence[int], corrupt: str) -> None:
    if not broken:
        return
    what = f"{some([pictures[n].name for n in broken])} of {len(pictures)} not readable"
    if corrupt == "refuse":
        raise InputDataError(f"{what}: repair or remove, or give ", Setting("corrupt", "skip"))
    warnings.warn(f"{what}: left out", DistillationWarning, stacklevel=2)


def _key(pictures: Sequence[Picture], form: Form) -> str:
    digest = hashlib.sha256(repr((_VERSION, form)).encode())
    for p in pictures:
        digest.update(repr((p.name, p.label, str(p.file), p.start, p.size, p.changed)).encode())
    return digest.hexdigest()[:32]


def _facts(place: Path) -> dict[str, Any] | None:
    if not place.is_dir():
        return None
    try:
        facts: dict[str, Any] = json.loads((place / FACTS).read_text())
    except ValueError as error:
        raise _damaged(place) from error
    return facts


def _damaged(place: Path) -> InputDataError:
    return InputDataError(f"the cache {place} is damaged: delete it, and it is written anew")


def _written(pictures: Sequence[Picture], form: Form, place: Path) -> dict[str, Any]:
    """Decode all images into ``place``, unless another process did while this one waited."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(place):
        facts = _facts(place)
        if facts is not None:
            return facts
        _clear(place.parent)
        part = _part(place)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        try:
            facts = _decoded(pictures, form, part)
            part.rename(place)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    return facts


def _decoded(pictures: Sequence[Picture], form: Form, part: Path) -> dict[str, Any]:
    from PIL import Image

    Image.init()  # threads would do it at the same time
    broken: list[int] = []
    headers = list(_in_order(header_of, pictures))
    shape = resolved(form, [picture.name for picture in pictures], headers)
    need, free = len(pictures) * math.prod(shape), shutil.disk_usage(part).free
    if need > free:
        raise InputDataError(
            f"{part.parent} has {free / 1e9:.1f} GB free, {len(pictures)} images of {shape} need {need / 1e9:.1f}: "
            "free space there, or set DDCORE_CACHE to a folder on another disk"
        )
    with (part / PIXELS).open("xb") as file:
        for n, pixels in enumerate(_in_order(lambda picture: pixels_of(picture, shape), pictures)):
            if pixels is None:
                broken.append(n)
            else:
                file.write(pixels)
        file.flush()
        os.fsync(file.fileno())
    if len(broken) == len(pictures):
        raise InputDataError(f"none of {len(pictures)} images is readable: the first is {pictures[0].name}")
    facts = {"shape": [len(pictures) - len(broken), *shape], "corrupt": broken}
    write_atomically(part / FACTS, json.dumps(facts).encode(), mode=0o600)
    return facts


def _in_order(call: Callable[[Picture], R], pictures: Iterable[Picture]) -> Iterator[R]:
    """Yield what threads return, in order. Few are ahead, so that few results are held."""
    count = os.cpu_count() or 1
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(count) as threads:
        for picture in pictures:
            waiting.append(threads.submit(call, picture))
            if len(waiting) > _AHEAD * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _part(place: Path) -> Path:
    return place.with_suffix(".part")


@contextmanager
def _alone(place: Path, *, wait: bool = True) -> Iterator[bool]:
    """Yield whether no other process writes ``place`` inside the block."""
    with place.with_suffix(".lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _clear(folder: Path) -> None:
    """Remove what killed processes began."""
    for part in folder.glob("*.part"):
        with _alone(part, wait=False) as abandoned:
            if abandoned:
                shutil.rmtree(part, ignore_errors=True)
