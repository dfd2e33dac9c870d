"""Where images come from.

Scikit-learn's digits, and torchvision's sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ddcore.errors import InputDataError, MissingExtraError

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
        train, test, validation: pairs of images and labels.
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
    validation: tuple[Any, Any] | None = None


def digits(root: Path) -> Arrays:
    """Return scikit-learn's 1797 handwritten digits of 8 x 8 pixels.

    A fixed stratified fifth is the test split.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255.0 / 16.0)).astype(np.uint8)
    return Arrays((pixels, bunch.target), split_test=True, split_seed=0)


_OWN_FILE = "the path of a .npz file with x_train, y_train, x_test, y_test"


def _torchvision_datasets(name: str) -> ModuleType:
    """Import them when a set is asked for: nothing else of the library needs torchvision."""
    if find_spec("torchvision") is None:
        raise MissingExtraError(f"downloading {name}", "torchvision", "images")
    try:
        return import_module("torchvision.datasets")
    except (ImportError, RuntimeError) as error:  # its operators are compiled for one build of torch
        raise InputDataError(
            f"downloading {name} needs torchvision, and the one here does not import beside torch {torch.__version__} "
            f"({error}). Install both in one command from one place, or pass {_OWN_FILE}"
        ) from error


def _torchvision(name: str, **splits: Mapping[str, Any]) -> Callable[[Path], Arrays]:
    def load(root: Path) -> Arrays:
        kind = getattr(_torchvision_datasets(name), name)
        try:
            train, test = (kind(root=str(root), download=True, **splits[s]) for s in ("train", "test"))
        except (RuntimeError, OSError) as error:
            raise InputDataError(
                f"torchvision could not provide {name} under {root} ({error}). Without a network, pass {_OWN_FILE}"
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
