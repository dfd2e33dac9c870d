"""Images in tars, by the convention of webdataset: files of one base name belong together.

``key.jpg`` is an image, ``key.cls`` its class id as text, or ``key.json`` an object with a
``label``.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ddcore.errors import InputDataError
from ddcore.images.pictures import IMAGE_SUFFIXES, Picture, some

PARTS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
"""How files and folders of each split may be called."""


def shards_of(folder: Path) -> dict[str, list[Path]]:
    """Return the tars of each split in a folder: ``train.tar``, ``train-000000.tar``, ...

    Where there are ``val`` shards and no ``test`` shards, those are the test split.
    """
    found = {}
    for split, words in PARTS.items():
        named = re.compile(rf"({'|'.join(words)})(-\d+)?\.tar")
        found[split] = sorted(path for path in folder.glob("*.tar") if named.fullmatch(path.name))
    if not found["test"]:
        found["test"], found["validation"] = found["validation"], []
    return found


def pictures_in_tars(paths: Sequence[Path]) -> list[Picture]:
    """Return the images of some tars, in order. Only the tars' headers are read.

    Raises:
        InputDataError: a tar is cut, compressed or no tar; an image has no class, or two; or two
            images have one key.
    """
    return [picture for path in paths for picture in _pictures(path)]


def _pictures(path: Path) -> list[Picture]:
    images: dict[str, _Member] = {}
    classes: dict[str, dict[str, _Member]] = {".cls": {}, ".json": {}}
    for member in _members(path):
        folder, _, name = member.name.rpartition("/")
        stem, _, ending = name.partition(".")
        key, ending = f"{folder}/{stem}", f".{ending.lower()}"
        found = images if ending in IMAGE_SUFFIXES else classes.get(ending, {})
        if key in found:
            raise InputDataError(f"{path.name} has {found[key].name} and {member.name}: a key has one image and class")
        found[key] = member
    if not images:
        raise InputDataError(f"{path.name} holds no image; known endings: {', '.join(IMAGE_SUFFIXES)}")
    changed = path.stat().st_mtime_ns
    pictures, missing = [], []
    with path.open("rb") as file:
        for key, image in images.items():
            label = _label(file, path, classes[".cls"].get(key), classes[".json"].get(key))
            if label is None:
                missing.append(image.name)
            else:
                pictures.append(Picture(f"{path.name}: {image.name}", label, path, image.start, image.size, changed))
    if missing:
        raise InputDataError(
            f"{path.name}: {some(missing)} without a class: each needs KEY.cls, its class id as text, or KEY.json with "
            "a label"
        )
    return pictures


class _Member(NamedTuple):
    """A file in a tar, and which of the tar's bytes are its."""

    name: str
    start: int
    size: int


def _members(path: Path) -> list[_Member]:
    found = []
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # each is large, and all would be kept
                if member.isfile():
                    found.append(_Member(member.name, member.offset_data, member.size))
            end = tar.offset
    except FileNotFoundError as error:
        raise InputDataError(f"there is no {path}") from error
    except tarfile.TarError as error:
        raise InputDataError(
            f"{path.name} is not a whole, uncompressed tar ({error}): fetch it again, or unpack its compression"
        ) from error
    with path.open("rb") as file:
        file.seek(end)
        mark = file.read(tarfile.BLOCKSIZE)
    if len(mark) < tarfile.BLOCKSIZE or any(mark):
        raise InputDataError(f"{path.name} has no end mark at byte {end}: it was cut or damaged, fetch it again")
    return found


def _label(file: BinaryIO, tar: Path, text: _Member | None, described: _Member | None) -> int | None:
    member = text or described
    if member is None:
        return None
    file.seek(member.start)
    content = file.read(member.size)
    try:
        label = int(content) if text else json.loads(content)["label"]
    except KeyError:
        return None
    except (ValueError, TypeError):
        label = None
    if type(label) is not int or label < 0:
        raise InputDataError(f"{tar.name}: {member.name} holds no class id: whole numbers from 0 are needed")
    return label
