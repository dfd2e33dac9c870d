"""Where images come from.

Scikit-learn's digits, torchvision's sets, ``.npz`` files, image folders.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ddcore.errors import InputDataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
GARMENTS = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGITS = tuple(map(str, range(10)))


@dataclass(frozen=True)
class Facts:
    """What is known of a dataset by its name."""

    class_names: tuple[str, ...] = ()
    mirror: bool = True


_FACTS = {
    "digits": Facts(DIGITS, mirror=False),
    "mnist": Facts(DIGITS, mirror=False),
    "svhn": Facts(DIGITS, mirror=False),
    "fashion-mnist": Facts(GARMENTS),
    "cifar10": Facts(CIFAR10),
}


def facts_about(name: str) -> Facts:
    """Return what is known of a dataset by this name.

    A ``.npz`` named ``mnist`` is taken for MNIST.
    """
    return _FACTS.get(name, Facts())


@dataclass(frozen=True)
class Arrays:
    """Images and labels as a source gives them.

    Attributes:
        train, test: pairs of images and labels.
        class_names: where the source knows them.
        split_test: whether a fifth of the training examples serves as test split, as there is none.
        split_seed: the fixed seed of that split, where the source fixes it.
        one_by_one: whether each image has a size of its own, so that the shape is read from them.
        names_found: whether the class names came with the examples, as those of folders do.
    """

    train: tuple[Any, Any]
    test: tuple[Any, Any] | None = None
    class_names: tuple[str, ...] = ()
    split_test: bool = False
    split_seed: int | None = None
    one_by_one: bool = False
    names_found: bool = False


def digits(root: Path) -> Arrays:
    """Return scikit-learn's 1797 handwritten digits of 8 x 8 pixels.

    A fixed stratified fifth is the test split.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255.0 / 16.0)).astype(np.uint8)
    return Arrays((pixels, bunch.target), split_test=True, split_seed=0)


def _torchvision(name: str, **splits: Mapping[str, Any]) -> Callable[[Path], Arrays]:
    def load(root: Path) -> Arrays:
        import torchvision.datasets

        kind = getattr(torchvision.datasets, name)
        try:
            train, test = (kind(root=str(root), download=True, **splits[s]) for s in ("train", "test"))
        except (RuntimeError, OSError) as error:
            raise InputDataError(
                f"torchvision could not provide {name} under {root} ({error}). "
                "Without a network, pass the path of a .npz file with x_train, y_train, x_test, y_test"
            ) from error
        labels = "labels" if name == "SVHN" else "targets"
        names = tuple(getattr(train, "classes", ()))
        return Arrays(
            (train.data, getattr(train, labels)),
            (test.data, getattr(test, labels)),
            names if name == "CIFAR100" else (),
        )

    return load


NAMED: dict[str, Callable[[Path], Arrays]] = {
    "digits": digits,
    "mnist": _torchvision("MNIST", train={"train": True}, test={"train": False}),
    "fashion-mnist": _torchvision("FashionMNIST", train={"train": True}, test={"train": False}),
    "cifar10": _torchvision("CIFAR10", train={"train": True}, test={"train": False}),
    "cifar100": _torchvision("CIFAR100", train={"train": True}, test={"train": False}),
    "svhn": _torchvision("SVHN", train={"split": "train"}, test={"split": "test"}),
}


def read_npz(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read a ``.npz`` file; pickled objects in it are refused."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError) as error:
        raise InputDataError(f"{path.name} is not a readable .npz file of plain arrays: {error}") from error


def read_folder(
    path: Path, size: int | None, shape: Sequence[int] | None = None, names: tuple[str, ...] | None = None
) -> Arrays:
    """Read ``path/<class>/*.png``, or ``path/train/<class>/*`` with ``path/test/<class>/*``.

    Args:
        path: of the folder.
        size: side to which images are resized.
        shape: channels, height and width to which each image is brought, in place of ``size``.
        names: of the classes; other folders are left alone. Default: every folder is a class.
    """
    if shape is not None and shape[0] not in (1, 3):
        raise InputDataError(f"images of a folder have 1 or 3 channels, not {shape[0]}: declare another shape")
    nested = (path / "train").is_dir() and any(p.is_dir() for p in (path / "train").iterdir())
    root = path / "train" if nested else path
    found = tuple(sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if not found:
        raise InputDataError(f"{path.name} has no folder per class: expected CLASS/*.png or train/CLASS/*.png")
    classes = found if names is None else names
    train = _read_classes(root, classes, size, shape)
    side = train[0].shape[-1] if size is None and train[0].shape[-1] == train[0].shape[-2] else size
    test = None
    if nested and (path / "test").is_dir():
        strangers = {p.name for p in (path / "test").iterdir() if p.is_dir()} - set(classes)
        if strangers and names is None:
            raise InputDataError(f"test/ has classes that train/ does not have: {', '.join(sorted(strangers))}")
        test = _read_classes(path / "test", classes, side, shape)
    return Arrays(train, test, classes, split_test=test is None, one_by_one=True, names_found=True)


def _read_classes(
    root: Path, names: tuple[str, ...], size: int | None, shape: Sequence[int] | None
) -> tuple[torch.Tensor, torch.Tensor]:
    from PIL import Image, UnidentifiedImageError
    from torchvision.transforms.functional import pil_to_tensor

    images, labels = [], []
    for label, name in enumerate(names):
        for file in sorted(p for p in (root / name).glob("*") if p.suffix.lower() in IMAGE_SUFFIXES):
            try:
                with Image.open(file) as opened:
                    if opened.mode.startswith(("I", "F")):
                        raise InputDataError(f"{name}/{file.name} has more than 8 bits per pixel: convert it to 8")
                    grey = opened.mode in ("1", "L") if shape is None else shape[0] == 1
                    image = opened.convert("L" if grey else "RGB")
            except (UnidentifiedImageError, OSError) as error:
                raise InputDataError(f"{name}/{file.name} is not a readable image") from error
            if shape is not None:
                image = image.resize((shape[2], shape[1]))
            elif size is not None:
                image = image.resize((size, size))
            images.append(pil_to_tensor(image))
            labels.append(label)
    if not images:
        raise InputDataError(f"no image found under {root.name}/CLASS/; known endings: {', '.join(IMAGE_SUFFIXES)}")
    if len({i.shape[1:] for i in images}) > 1:
        raise InputDataError("the images differ in size: pass size= (on the command line: --size) to resize them")
    channels = max(i.shape[0] for i in images)
    return torch.stack([i.expand(channels, *i.shape[1:]) for i in images]), torch.tensor(labels)
