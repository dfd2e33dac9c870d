"""Folders of images, or of tars of images, read by way of the cache."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ddcore.errors import DistillationWarning, InputDataError
from ddcore.images.cache import cached
from ddcore.images.pictures import IMAGE_SUFFIXES, Form, Picture
from ddcore.images.sources import Arrays
from ddcore.images.tars import PARTS, pictures_in_tars, shards_of


@dataclass(frozen=True)
class Reading:
    """How stored images are read.

    Attributes:
        form: what they are brought to.
        cache: the folder where their pixels are kept.
        corrupt: ``refuse`` or ``skip`` images that cannot be read.
    """

    form: Form
    cache: Path
    corrupt: str = "refuse"

    def of(self, pictures: list[Picture]) -> tuple[Tensor, Tensor]:
        """Return pixels and labels."""
        return cached(pictures, self.form, self.cache, corrupt=self.corrupt)


def read_folder(path: Path, reading: Reading, names: tuple[str, ...] | None = None) -> Arrays:
    """Read ``path/<class>/*.png``, or ``path/train/<class>/*`` with ``test`` and ``val`` beside.

    ``val`` may be called ``valid`` or ``validation``. Where there are ``train*.tar``, these are
    read with ``test*.tar`` and ``val*.tar``.

    Args:
        path: of the folder.
        reading: how.
        names: of the classes; other folders are left alone. Default: every folder is a class.

    Warns:
        DistillationWarning: folders beside ``train`` are not read, or there is ``val`` and no
            ``test``.
    """
    channels = reading.form.channels
    if channels not in (None, 1, 3):
        raise InputDataError(f"images of a folder have 1 or 3 channels, not {channels}: declare another shape")
    path, shards = path.resolve(), shards_of(path.resolve())
    if shards["train"]:
        return read_tars(shards, reading)
    nested = bool(_classes(path / "train"))
    root = path / "train" if nested else path
    found = _classes(root)
    if not found:
        raise InputDataError(
            f"{path.name} has no folder per class: expected CLASS/*.png or train/CLASS/*.png, or train*.tar"
        )
    classes = found if names is None else names
    _tell_splits(path, nested)
    parts = {"train": _pictures(root, classes)}
    for split in ("test", "validation") if nested else ():
        folders = [path / word for word in PARTS[split] if (path / word).is_dir()]
        if len(folders) > 1:
            raise InputDataError(f"{path.name} has {folders[0].name}/ and {folders[1].name}/: keep one of them")
        for folder in folders:
            strangers = set(_classes(folder)) - set(classes)
            if strangers and names is None:
                raise InputDataError(
                    f"{folder.name}/ has classes that train/ does not have: {', '.join(sorted(strangers))}"
                )
            parts[split] = _pictures(folder, classes)
    return replace(_read(parts, reading), class_names=classes, names_found=True)


def _tell_splits(path: Path, nested: bool) -> None:
    """Say what of a folder is not read as its maker may have meant it."""
    splits = [word for words in PARTS.values() for word in words]
    if not nested:
        named = [name for name in _classes(path) if name.lower() in splits and _classes(path / name)]
        if named:
            raise InputDataError(
                f"{path.name} has the folder {named[0]}/ of classes and no train/: expected train/CLASS/*, with test/ and "
                "val/ beside"
            )
        return
    others = [name for name in _classes(path) if name not in splits and _classes(path / name)]
    if others:
        warnings.warn(
            f"{path.name}: {', '.join(others)} beside train/ is not read: splits are called {', '.join(splits)}",
            DistillationWarning,
            stacklevel=2,
        )
    validates = [word for word in PARTS["validation"] if (path / word).is_dir()]
    if validates and not (path / "test").is_dir():
        warnings.warn(
            f"{path.name} has no test/: a fifth of train/ is the test split, and {validates[0]}/ the validation split. To "
            f"report on {validates[0]}/, call it test/",
            DistillationWarning,
            stacklevel=2,
        )


def read_tars(shards: dict[str, list[Path]], reading: Reading) -> Arrays:
    """Read the tars of each split."""
    return _read({split: pictures_in_tars(paths) for split, paths in shards.items() if paths}, reading)


def _read(parts: dict[str, list[Picture]], reading: Reading) -> Arrays:
    """Read all splits. Held-out images are brought to the sides of those in training."""
    train = reading.of(parts["train"])
    sides = (train[0].shape[2], train[0].shape[3])
    held_out = replace(reading, form=replace(reading.form, sides=sides))
    test, validation = (held_out.of(parts[split]) if split in parts else None for split in ("test", "validation"))
    return Arrays(train, test, split_test=test is None, one_by_one=True, validation=validation)


def _classes(root: Path) -> tuple[str, ...]:
    if not root.is_dir():
        return ()
    return tuple(sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")))


def _pictures(root: Path, names: tuple[str, ...]) -> list[Picture]:
    pictures = []
    for label, name in enumerate(names):
        folder = root / name
        if not folder.is_dir():
            continue
        for file in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if Path(file.name).suffix.lower() in IMAGE_SUFFIXES:
                size, changed = _size_and_change(file)
                pictures.append(Picture(f"{name}/{file.name}", label, Path(file.path), 0, size, changed))
    if not pictures:
        raise InputDataError(f"no image found under {root.name}/CLASS/; known endings: {', '.join(IMAGE_SUFFIXES)}")
    return pictures


def _size_and_change(file: os.DirEntry[str]) -> tuple[int, int]:
    """Return the bytes of a file and when it was changed. A link to nothing has no bytes."""
    try:
        facts = file.stat()
    except FileNotFoundError:
        return 0, 0
    return facts.st_size, facts.st_mtime_ns
