"""`Budget`: stored bytes. It says what a method costs, and what may be bought for the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ddcore.errors import BudgetError, SettingsError
from ddcore.parts import Factorization, Method, Spec, TargetData, largest_size
from ddcore.settings import override, require_counts
from ddcore.summary import original_bytes

UNBOUNDED = 2**40
UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "kib": 2**10, "mib": 2**20}

Priced = TypeVar("Priced", Method, Factorization)


@dataclass(frozen=True)
class Budget:
    """Bytes that a summary may store: tensors and the learned numbers of its recipe.

    Attributes:
        bytes: how many.
        beyond: whether they may be more than the data's own, as those of a memory that other data
            share. Else `fit` refuses them: nothing would be left to distill.

    Example:
        ``Budget.of(dd.methods.dm(ipc=1), target)`` is what one image per class costs;
        ``Budget.parse("30kB").fit(dd.methods.linba(), target)`` is what 30 000 bytes buy.
    """

    bytes: int
    beyond: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        require_counts(bytes=self.bytes)

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Return the budget that a text names.

        It is a number with B, kB (1000), MB, KiB (1024) or MiB. A number alone is bytes.
        """
        match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([a-zA-Z]*)\s*", text)
        if match is None or match.group(2).lower() not in UNITS:
            raise SettingsError(f"a budget is a number of bytes such as 2560, 30kB or 1.5MiB, not {text!r}")
        return cls(int(float(match.group(1)) * UNITS[match.group(2).lower()]))

    @classmethod
    def of(cls, priced: Method | Factorization, target: TargetData | Spec) -> Budget:
        """Return what a method, or a factorization alone, stores at most for some data."""
        spec, available = _facts(target)
        factorization, learned = _parts(priced)
        cost = factorization.max_bytes(spec, available) + learned + _label_bytes(priced, spec, available)
        return cls(cost, beyond=True)

    def fit(self, priced: Priced, target: TargetData | Spec) -> Priced:
        """Return a method, or a factorization, of the largest sizes that this budget buys.

        It chooses ``ipc``. If the size that grows with a budget was left at its default, it chooses
        that size first. Other sizes stay as they are.

        Args:
            priced: a method or a factorization.
            target: the data, whose classes bound ``ipc``. Give its `Spec` alone where the sizes of
                classes must not be read.

        Raises:
            BudgetError: it does not buy one item per class. The message names the least that does.
                Or it is more than the training examples have, and not ``beyond``.
        """
        if isinstance(target, TargetData) and not self.beyond:
            most = original_bytes(target.spec, len(target.train))
            if self.bytes > most:
                raise BudgetError(
                    f"a budget of {self.bytes} bytes is more than the {most} of the training examples themselves: give less"
                )
        factorization, learned = _parts(priced)
        if learned >= self.bytes:
            raise BudgetError(f"the recipe alone has {learned} bytes of learned numbers, the budget is {self.bytes}")
        if isinstance(priced, Method):
            return replace(priced, factorization=self._sized(priced, self.bytes - learned, target))
        return factorization.within(self.bytes - learned, *_facts(target))

    def _sized(self, method: Method, allowed: int, target: TargetData | Spec) -> Factorization:
        """Return the factorization of a method for ``allowed`` bytes, its labels included."""
        kind, facts = method.factorization, _facts(target)
        if method.labels is None:
            return kind.within(allowed, *facts)
        least = override(kind, "ipc", 1)
        items = least.max_bytes(*facts)
        labels = _label_bytes(replace(method, factorization=least), *facts)
        if items + labels > allowed:
            raise BudgetError(
                f"{allowed} bytes do not hold one item per class with its labels: {items + labels} are the least"
            )

        def fits(more: int) -> bool:
            sized = replace(method, factorization=kind.within(items + more, *facts))
            return sized.factorization.max_bytes(*facts) + _label_bytes(sized, *facts) <= allowed

        return kind.within(items + largest_size(fits, allowed - items), *facts)


def _facts(target: TargetData | Spec) -> tuple[Spec, Mapping[int, int]]:
    """Return the data's declared facts, and how many examples each class has.

    A `Spec` alone gives more examples per class than any summary stores.
    """
    if isinstance(target, Spec):
        return target, dict.fromkeys(target.classes, UNBOUNDED)
    return target.spec, target.counts()


def _label_bytes(priced: Method | Factorization, spec: Spec, available: Mapping[int, int]) -> int:
    """Return the bytes of the labels that a method gives its examples in the end."""
    if not isinstance(priced, Method) or priced.labels is None:
        return 0
    return priced.labels.max_bytes(sum(priced.factorization.counts_for(available).values()), spec)


def _parts(priced: Method | Factorization) -> tuple[Factorization, int]:
    if isinstance(priced, Method):
        return priced.factorization, 0 if priced.matching is None else priced.matching.recipe_bytes()
    return priced, 0
