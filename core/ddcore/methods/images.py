"""Sizes as the papers of factorised methods count them: by the numbers that images have."""

from __future__ import annotations

from dataclasses import replace

from ddcore.data import Spec
from ddcore.errors import SettingsError
from ddcore.factorization import HallucinatorBases, Ipc, Pixels
from ddcore.method import Method

CIFAR10 = Spec(shape=(3, 32, 32), num_classes=10, classes=tuple(range(10)))
EXAMPLES_PER_CLASS = 5000


def as_many_numbers_as_images(method: Method, ipc: Ipc | None) -> Method:
    """Return a method that stores as many numbers as ``ipc`` images per class of CIFAR-10; None: as it is.

    For other data `build_method` takes the target, or a `Budget` sizes the method.
    """
    if ipc is None:
        return method
    if not isinstance(ipc, int):
        raise SettingsError(f"{method.name} counts stored numbers in images per class: ipc is one number, not {ipc!r}")
    available = dict.fromkeys(CIFAR10.classes, EXAMPLES_PER_CLASS)
    factorization = method.factorization
    assert isinstance(factorization, HallucinatorBases)
    pixels = Pixels(ipc=ipc, storage=factorization.storage).max_bytes(CIFAR10, available)
    return replace(method, factorization=factorization.within(pixels, CIFAR10, available))
