"""What is stored, and how it becomes examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from torch import Tensor

from ddcore.errors import BudgetError
from ddcore.parts.examples import Examples
from ddcore.parts.ipc import largest_size
from ddcore.parts.run import Run
from ddcore.parts.spec import Spec
from ddcore.settings import override

NOISE = ("noise", "glorot")
"""Initialisations that see no data."""


FACTORIZATIONS: dict[str, type[Factorization]] = {}
"""The closed table from which a loaded summary builds its decoders."""


class Factorization(ABC):
    """Settings of a factorization."""

    name: ClassVar[str]
    modality: ClassVar[str | None] = None
    """The one modality whose examples it can make; None: any."""

    @abstractmethod
    def counts_for(self, available: Mapping[int, int]) -> dict[int, int]:
        """Return how many examples each class gets, given how many real ones it has.

        Raises:
            BudgetError: a class has fewer real examples than it should get.
        """

    def clipped(self) -> Self:
        """Return a copy whose pixels stay in [0, 1], where pixels are what is stored and that saves bytes; others as they are."""
        return self

    def learning_rates(self) -> dict[str, float]:
        """Return learning rates of Adam for its parameter groups that serve any matching: what `ddcore.methods.compose` takes."""
        return {}

    @abstractmethod
    def max_bytes(self, spec: Spec, available: Mapping[int, int]) -> int:
        """Return the most bytes that a summary stores: known before it is made.

        Args:
            spec: of the data.
            available: number of real examples per class id.
        """

    def within(self, nbytes: int, spec: Spec, available: Mapping[int, int]) -> Self:
        """Return a copy with the largest sizes that store at most ``nbytes``.

        Raises:
            BudgetError: they do not hold one item per class; the message names the least that does.
        """

        def sized(ipc: int) -> Self:  # type: ignore[type-var]
            return override(self, "ipc", ipc if ipc <= fewest else f"clip:{ipc}")

        fewest = min(available.values())
        least: int = sized(1).max_bytes(spec, available)
        if least > nbytes:
            raise BudgetError(
                f"{nbytes} bytes do not hold {self.name} with one item per class: {least} are the least with these settings "
                f"(storage={getattr(self, 'storage', '?')})"
            )
        return sized(largest_size(lambda n: sized(n).max_bytes(spec, available) <= nbytes, max(available.values())))

    def asks(self) -> frozenset[str]:
        """Return the questions that its initialisation asks of the real signal: none, ``select``, or ``batch``."""
        return frozenset() if getattr(self, "init", None) in NOISE else frozenset({"select"})

    @abstractmethod
    def start(self, run: Run) -> Examples:
        """Return initialised examples; real data is asked of ``run.real`` alone."""

    @abstractmethod
    def restore(self, stored: Mapping[str, Tensor], spec: Spec) -> Examples:
        """Return the examples that ``stored`` holds.

        Raises:
            SummaryFormatError: names, shapes, types or values are not what this factorization stores.
        """

    @abstractmethod
    def decoder(self) -> dict[str, Any]:
        """Return the settings that `restore` needs, as JSON data: what a summary records of this factorization."""

    def loader(self) -> type[Factorization]:
        """Return the class whose `from_decoder` reads what `decoder` records."""
        return type(self)

    @classmethod
    @abstractmethod
    def from_decoder(cls, settings: Mapping[str, Any]) -> Factorization:
        """Return a factorization that can `restore`, from what `decoder` recorded; unknown entries are an error."""

    @abstractmethod
    def quantize(self, stored: Mapping[str, Tensor], spec: Spec, to: str) -> tuple[Factorization, dict[str, Tensor]]:
        """Return settings and tensors of the same examples stored as ``uint8`` or ``fp16``."""
