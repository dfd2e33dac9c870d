"""Methods of a given size, in examples or in bytes: what memories and messages are made by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import ddcore as dd
from ddcore.errors import BudgetError
from ddcore.methods import build_method
from ddcore.parts import Factorization, Ipc, NoNetworks, largest_ipc
from ddcore.settings import override

Limit = int | Mapping[int, int]
"""Bytes in all; or examples of each class id."""


@dataclass(frozen=True)
class Compression:
    """A method, before its size is known.

    Labels that teachers would give are left out: examples are kept under their class ids.

    Attributes:
        method: its name, or settings whose ``ipc`` is replaced.
        preset: ``paper`` or ``cpu``, of a name.
        storage: how numbers are stored.
        network: what it distils on, in any form that ``ddcore.networks.as_architecture`` takes;
            None: its own.
        steps: replaces its number of steps.
        spec: facts of the data that it is suited to; None: of images.
    """

    method: str | dd.Method
    preset: str = "cpu"
    storage: str = "uint8"
    network: object = None
    steps: int | None = None
    spec: dd.Spec | None = None

    def suited_to(self, spec: dd.Spec) -> Compression:
        """Return the same for such data. Parts for other data are replaced (`Method.suited_to`)."""
        return replace(self, spec=spec)

    @property
    def name(self) -> str:
        """Name of the method."""
        return self.method if isinstance(self.method, str) else self.method.name

    @property
    def factorization(self) -> Factorization:
        """What is stored, of one item per class."""
        return self.at(1).factorization

    @property
    def examples_per_item(self) -> int:
        """How many examples one item of a class decodes to."""
        return _examples_per_item(self.factorization, 1)

    @property
    def learns_labels(self) -> bool:
        """Whether its examples have distributions as targets instead of class ids."""
        return getattr(self.factorization, "labels", "hard") != "hard"

    @property
    def first_recipe(self) -> dd.Recipe:
        """The recipe of its summaries before anything is learned. All have the same form."""
        matching = self.at(1).matching
        return dd.Recipe() if matching is None else matching.first_recipe(self.learns_labels)

    def within(self, limit: Limit, target: dd.TargetData, counts: Mapping[int, int] | None = None) -> dd.Method:
        """Return the method of the largest size that stays within a limit.

        A class that has fewer examples gives what it has.

        Args:
            limit: what it may hold.
            target: the data.
            counts: sizes of classes, in place of the true ones, which are then not read.

        Raises:
            BudgetError: the limit does not hold one item per class.
        """
        suited = self.suited_to(target.spec)
        if isinstance(limit, int):
            sized = suited._in_bytes(limit, target if counts is None else target.spec)
        else:
            sized = suited.at(_items(suited.factorization, limit, target.counts() if counts is None else counts))
        if sized.matching is None:
            return sized
        if self.network is not None and not isinstance(sized.networks, NoNetworks):
            sized = sized.on_networks(self.network)
        return sized.with_steps(self.steps)

    def most_bytes(self, limit: Limit, spec: dd.Spec) -> int:
        """Return the most bytes that a summary within a limit stores, whatever its class sizes."""
        if isinstance(limit, int):
            return limit
        within = replace(spec, classes=tuple(limit))
        return dd.Budget.of(self.at(_items(self.factorization, limit, limit)), within).bytes

    def at(self, ipc: Ipc) -> dd.Method:
        """Return the method with so many items per class."""
        if isinstance(self.method, str):
            items = largest_ipc(ipc)
            method = build_method(self.method, ipc=items, preset=self.preset, storage=self.storage, clip=True)
        else:
            method = self._stored(self.method)
        if self.spec is not None:
            method = method.suited_to(self.spec)
        # Of some named methods ``ipc`` counts numbers; here it counts items.
        return override(method, f"{stored_at(method)}.ipc", ipc)

    def _in_bytes(self, limit: int, target: dd.TargetData | dd.Spec) -> dd.Method:
        budget = dd.Budget(limit, beyond=True)
        if isinstance(self.method, str):
            return build_method(
                self.method, preset=self.preset, target=target, budget=budget, storage=self.storage, clip=True
            )
        method = self._stored(self.method)
        if _wraps(method.factorization) and isinstance(target, dd.TargetData):
            fitted: dd.Method = dd.fitted(method, target, limit)  # type: ignore[attr-defined, unused-ignore]
            return fitted
        return budget.fit(method, target)

    def _stored(self, method: dd.Method) -> dd.Method:
        method = replace(method, labels=None)
        if _wraps(method.factorization):
            return method
        method = override(method, "factorization.storage", self.storage)
        return replace(method, factorization=method.factorization.clipped())


def stored_at(method: dd.Method) -> str:
    """Return the path of the settings that say how many items are stored.

    They are those of the factorization, or of the one that it wraps.
    """
    return "factorization.of" if _wraps(method.factorization) else "factorization"


def _wraps(factorization: Factorization) -> bool:
    return bool(getattr(factorization, "wraps", False))


def _items(factorization: Factorization, limit: Mapping[int, int], available: Mapping[int, int]) -> Ipc:
    """Return how many items each class gets, so that their examples are within its limit."""
    each = _examples_per_item(factorization, max(limit.values()))
    short = [class_id for class_id, most in limit.items() if most < each]
    if short:
        raise BudgetError(
            f"{limit[short[0]]} examples of class {short[0]} were allowed, one item of {factorization.name} gives {each}: give more "
            "memory, or say it in bytes"
        )
    wanted = {class_id: min(limit[class_id] // each, count) for class_id, count in available.items() if count}
    sizes = set(wanted.values())
    return sizes.pop() if len(sizes) == 1 and len(wanted) == len(available) else wanted


def _examples_per_item(factorization: Factorization, available: int) -> int:
    one = override(factorization, "of.ipc" if _wraps(factorization) else "ipc", 1)
    (each,) = one.counts_for({0: available}).values()
    return each
