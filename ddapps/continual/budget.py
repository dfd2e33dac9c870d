"""How much a memory may hold, and how classes and experiences share it."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import ddcore as dd
from ddcore.budget import Budget
from ddcore.errors import BudgetError, SettingsError
from ddcore.settings import require_counts
from ddcore.summary import original_bytes

Key = tuple[int, int]
"""Task label and class id: what shares a memory equally."""

UNITS = ("examples", "bytes")


@dataclass(frozen=True)
class MemoryBudget:
    """A bound on what a memory holds.

    Attributes:
        amount: how many examples or bytes.
        unit: ``examples`` or ``bytes``.
        per_class: whether the amount is that of each class. Otherwise all classes seen so far share
            it equally, so shares shrink as classes arrive.
    """

    amount: int
    unit: str = "examples"
    per_class: bool = False

    def __post_init__(self) -> None:
        require_counts(memory=self.amount)
        if self.unit not in UNITS:
            raise SettingsError(f"a memory is counted in {' or '.join(UNITS)}, not in {self.unit!r}")

    @classmethod
    def parse(cls, given: int | str | Budget | MemoryBudget) -> MemoryBudget:
        """Return the budget that is meant.

        Args:
            given: a number, as Avalanche's ``mem_size``: examples in all. ``"10-per-class"``:
                examples of each class. ``"20kB"`` or a `ddcore.Budget`: bytes in all.
                ``"650B-per-class"``: bytes of each class.
        """
        if isinstance(given, MemoryBudget):
            return given
        if isinstance(given, Budget):
            return cls(given.bytes, "bytes")
        if not isinstance(given, str):
            try:
                return cls(operator.index(given))
            except TypeError as error:
                raise SettingsError(
                    f"a memory is a whole number of examples, a text or a ddcore.Budget, not {given!r}"
                ) from error
        found = re.fullmatch(r"\s*([\d.]+)\s*([a-zA-Z]*?)\s*(-per-class)?\s*", given)
        if found is None:
            raise SettingsError(
                f"a memory is a number of examples (200), examples per class (10-per-class), bytes (20kB) or bytes per class "
                f"(650B-per-class), not {given!r}"
            )
        number, unit, per_class = found.groups()
        if unit:
            return cls(Budget.parse(number + unit).bytes, "bytes", per_class is not None)
        if not number.isdecimal():
            raise SettingsError(
                f"a memory of {given!r}: a number of examples is a whole number; bytes have a unit (20kB)"
            )
        return cls(int(number), "examples", per_class is not None)

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}{' per class' if self.per_class else ''}"

    def in_bytes(self, spec: dd.Spec) -> MemoryBudget:
        """Return a bound in examples as one of the bytes that as many real examples take."""
        if self.unit == "bytes":
            return self
        return MemoryBudget(original_bytes(spec, self.amount), "bytes", self.per_class)

    def scaled(self, share: float) -> MemoryBudget:
        """Return a share of it, rounded down.

        Raises:
            BudgetError: that is nothing.
        """
        amount = math.floor(self.amount * share)
        if amount < 1:
            raise BudgetError(f"{share:g} of a memory of {self} is nothing: give more memory, or another share")
        return replace(self, amount=amount)

    def shares(self, keys: Sequence[Key]) -> dict[Key, int]:
        """Return what each class may hold; what does not divide goes to those that came first."""
        if self.per_class:
            return dict.fromkeys(keys, self.amount)
        return dict(zip(keys, _divided(self.amount, len(keys)), strict=True))

    def whole(self, amount: int, each: int, key: Key) -> int:
        """Return how many examples of ``each`` bytes fit; `BudgetError` if none does."""
        if amount < each:
            raise BudgetError(
                f"a memory of {self} leaves {amount} bytes for class {key[1]}, one example takes {each}: give more memory"
            )
        return amount // each

    def allowances(self, parts: Sequence[Sequence[Key]]) -> list[dict[Key, int]]:
        """Return what each part of a memory may hold of each of its classes.

        Parts that hold the same class share its share equally.

        Args:
            parts: the classes of each part, in order of arrival.

        Raises:
            BudgetError: a share is nothing.
        """
        holders: dict[Key, list[int]] = {}
        for index, keys in enumerate(parts):
            for key in keys:
                holders.setdefault(key, []).append(index)
        shares = self.shares(list(holders))
        allowed: list[dict[Key, int]] = [{} for _ in parts]
        for key, indices in holders.items():
            for index, amount in zip(indices, _divided(shares[key], len(indices)), strict=True):
                allowed[index][key] = amount
                if amount == 0:
                    raise BudgetError(
                        f"a memory of {self} holds nothing of class {key[1]} for each of the {len(indices)} experiences that have it, with "
                        f"{len(holders)} classes in all: give more memory"
                    )
        return allowed


def _divided(amount: int, among: int) -> list[int]:
    each, rest = divmod(amount, among)
    return [each + (index < rest) for index in range(among)]
