"""What a factorization is: it says what is stored, and how that becomes examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from torch import Tensor

from ddcore.errors import BudgetError
from ddcore.parts.examples import Examples
from ddcore.parts.ipc import Ipc, largest_size
from ddcore.parts.run import Run
from ddcore.parts.spec import Spec
from ddcore.settings import override

NOISE = ("noise", "glorot")
"""Names of the initialisations that see no data."""


FACTORIZATIONS: dict[str, type[Factorization]] = {}
"""Factorizations by name. A loaded summary can use these and no others."""


class Factorization(ABC):
    """Settings of a factorization."""

    name: ClassVar[str]
    items: ClassVar[str] = "examples"
    """Name of the parameter group of what is stored of each example."""
    modality: ClassVar[str | None] = None
    """The only modality whose examples it makes. None: it makes any."""
    wraps: ClassVar[bool] = False
    """Whether it wraps another factorization, which must be given."""

    @abstractmethod
    def counts_for(self, available: Mapping[int, int]) -> dict[int, int]:
        """Return how many examples each class gets.

        Args:
            available: number of real examples per class id.

        Raises:
            BudgetError: a class has fewer real examples than it should get.
        """

    def as_kind(self, kind: type[Factorization]) -> Factorization | None:
        """Return the same settings as another ``kind`` of factorization, or None if it has none.

        Args:
            kind: another modality's, whose examples are their own free parameters.
        """
        return None

    def sized(self, ipc: Ipc) -> Self:
        """Return a copy that stores another number of items per class."""
        return override(self, "ipc", ipc)

    def unit_tensors(self) -> frozenset[str]:
        """Return the names of stored floats that lie in [0, 1]."""
        return frozenset()

    def clipped(self) -> Self:
        """Return a copy whose pixels stay in [0, 1], if pixels are stored and that saves bytes.

        Other factorizations return themselves.
        """
        return self

    def learning_rates(self) -> dict[str, float]:
        """Return learning rates of Adam, by parameter group, that serve any matching.

        `ddcore.methods.compose` takes them.
        """
        return {}

    @abstractmethod
    def max_bytes(self, spec: Spec, available: Mapping[int, int]) -> int:
        """Return the most bytes that a summary stores. It is known before a run.

        Args:
            spec: facts of the data.
            available: number of real examples per class id.
        """

    def within(self, nbytes: int, spec: Spec, available: Mapping[int, int]) -> Self:
        """Return a copy with the largest sizes that store at most ``nbytes``.

        Raises:
            BudgetError: one item per class takes more. The message says how many bytes it takes.
        """

        def sized(ipc: int) -> Self:  # type: ignore[type-var]
            return self.sized(ipc if ipc <= fewest else f"clip:{ipc}")

        fewest = min(available.values())
        least: int = sized(1).max_bytes(spec, available)
        if least > nbytes:
            smaller = ", or a smaller storage" if getattr(self, "storage", None) == "float32" else ""
            raise BudgetError(
                f"{nbytes} bytes do not hold {self.name} with one item per class: {least} are the least with these settings "
                f"(storage={getattr(self, 'storage', '?')}): give more bytes{smaller}"
            )
        return sized(largest_size(lambda n: sized(n).max_bytes(spec, available) <= nbytes, max(available.values())))

    def asks(self) -> frozenset[str]:
        """Return the questions that its initialisation asks of the real signal.

        They are none, ``select``, or ``batch``.
        """
        return frozenset() if getattr(self, "init", None) in NOISE else frozenset({"select"})

    @abstractmethod
    def start(self, run: Run) -> Examples:
        """Return initialised examples. It asks only ``run.real`` about real data."""

    @abstractmethod
    def restore(self, stored: Mapping[str, Tensor], spec: Spec) -> Examples:
        """Return the examples that ``stored`` holds.

        Raises:
            SummaryFormatError: names, shapes, types or values are not what this factorization
                stores.
        """

    @abstractmethod
    def decoder(self) -> dict[str, Any]:
        """Return the settings that `restore` needs, as JSON data. A summary records them."""

    def loader(self) -> type[Factorization]:
        """Return the class whose `from_decoder` reads what `decoder` recorded."""
        return type(self)

    @classmethod
    @abstractmethod
    def from_decoder(cls, settings: Mapping[str, Any]) -> Factorization:
        """Return a factorization that can `restore`, from what `decoder` recorded.

        Unknown entries are an error.
        """

    @abstractmethod
    def quantize(self, stored: Mapping[str, Tensor], spec: Spec, to: str) -> tuple[Factorization, dict[str, Tensor]]:
        """Return the settings and tensors that store the same examples as ``uint8`` or ``fp16``."""
