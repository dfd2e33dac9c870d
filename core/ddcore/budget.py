"""`Budget`: stored bytes. It says what a method costs, and what may be bought for the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from ddcore.errors import BudgetError, SettingsError
from ddcore.factorization import Factorization
from ddcore.method import Method
from ddcore.settings import require_counts

if TYPE_CHECKING:
    from ddcore.data import Spec, TargetData

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "kib": 2**10, "mib": 2**20}

Priced = TypeVar("Priced", Method, Factorization)


@dataclass(frozen=True)
class Budget:
    """Bytes that a summary may store: tensors and the learned numbers of its recipe.

    Attributes:
        bytes: how many.

    Example:
        ``Budget.of(dd.methods.dm(ipc=1), target)`` is what one image per class costs;
        ``Budget.parse("30kB").fit(dd.methods.linba(), target)`` is what 30 000 bytes buy.
    """

    bytes: int

    def __post_init__(self) -> None:
        require_counts(bytes=self.bytes)

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Return the budget that a text names: a number, and B, kB (1000), MB, KiB (1024) or MiB."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
        if match is None or match.group(2).lower() not in UNITS:
            raise SettingsError(f"a budget is a number of bytes such as 2560, 30kB or 1.5MiB, not {text!r}")
        return cls(int(float(match.group(1)) * UNITS[match.group(2).lower()]))

    @classmethod
    def of(cls, priced: Method | Factorization, target: TargetData) -> Budget:
        """Return what a method, or a factorization alone, stores at most for some data."""
        factorization, learned = _parts(priced)
        return cls(factorization.max_bytes(target.spec, target.counts()) + learned)

    def fit(self, priced: Priced, target: TargetData) -> Priced:
        """Return a method, or a factorization, of the largest sizes that this budget buys.

        Sizes that differ from their default stay as they are; bytes are shared out among the others.

        Raises:
            BudgetError: it does not buy one item per class; the message names the least that does.
        """
        return self.fit_to(priced, target.spec, target.counts())

    def fit_to(self, priced: Priced, spec: Spec, available: Mapping[int, int]) -> Priced:
        """Return the same from public facts alone: the data's `Spec`, and how many real examples each class has."""
        factorization, learned = _parts(priced)
        if learned >= self.bytes:
            raise BudgetError(f"the recipe alone has {learned} bytes of learned numbers, the budget is {self.bytes}")
        sized = factorization.within(self.bytes - learned, spec, available)
        return replace(priced, factorization=sized) if isinstance(priced, Method) else sized


def _parts(priced: Method | Factorization) -> tuple[Factorization, int]:
    if isinstance(priced, Method):
        return priced.factorization, 0 if priced.matching is None else priced.matching.recipe_bytes()
    return priced, 0
