"""Sizes as the papers of factorised methods count them: by the numbers that images have."""

from __future__ import annotations

from ddcore.budget import Budget
from ddcore.errors import SettingsError
from ddcore.images import Pixels
from ddcore.parts import Ipc, Method, Spec

CIFAR10 = Spec(shape=(3, 32, 32), num_classes=10, classes=tuple(range(10)))


def as_many_numbers_as_images(method: Method, ipc: Ipc | None) -> Method:
    """Return a method that stores as many numbers as ``ipc`` images per class of CIFAR-10.

    ``ipc=None`` leaves it as it is. For other data `build_method` takes the target, or a `Budget`
    sizes the method.
    """
    if ipc is None:
        return method
    if not isinstance(ipc, int):
        raise SettingsError(f"{method.name} counts stored numbers in images per class: ipc is one number, not {ipc!r}")
    storage = getattr(method.factorization, "storage", "float32")
    return Budget.of(Pixels(ipc=ipc, storage=storage), CIFAR10).fit(method, CIFAR10)
