"""What is stored, and how it becomes examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ddcore.batch import Batch
from ddcore.errors import BudgetError, UnsupportedError
from ddcore.factorization.budget import largest_size
from ddcore.settings import override

if TYPE_CHECKING:
    from ddcore.data import Spec
    from ddcore.run import Run


class Examples(nn.Module, ABC):
    """The synthetic examples of one run, or of a loaded summary.

    Attributes:
        counts: number of examples per class id, in ascending order of the ids.
    """

    counts: dict[int, int]

    @property
    def classes(self) -> tuple[int, ...]:
        """Class ids that have examples, ascending."""
        return tuple(self.counts)

    @abstractmethod
    def indices_of(self, class_id: int) -> Tensor:
        """Return the indices of all examples of a class (int64, on the CPU)."""

    def draw(
        self, classes: Sequence[int], count: int | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return indices of ``count`` distinct examples per class, class after class; all of them if count is None."""
        drawn = []
        for class_id in classes:
            indices = self.indices_of(class_id)
            if count is not None and count < len(indices):
                indices = indices[torch.randperm(len(indices), generator=generator)[:count]]
            drawn.append(indices)
        return torch.cat(drawn)

    @abstractmethod
    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        """Return examples in normalised space; all of them when ``indices`` is None.

        Without a generator the result is deterministic.
        """

    def begin(self, run: Run) -> None:
        """Make what only distillation needs (an adversary); called once, before the first step or the checkpoint that takes its place."""

    def penalty(self, run: Run) -> Tensor | None:
        """Return a term that this factorization adds to the loss of every step, or None."""
        return None

    @abstractmethod
    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters, stored ones first, in named groups; an optimiser may give each its own step size."""

    def assign_labels(self, labels: Tensor) -> None:
        """Store these soft labels, one row per example, in place of the present ones; `UnsupportedError` where labels are fixed."""
        raise UnsupportedError(
            f"{type(self).__name__} have fixed labels: labels can be assigned to pixels with factorization.labels='soft'"
        )

    def after_step(self, step: int) -> None:
        """Adjust the stored parameters after an update (clamp, cool a temperature)."""

    @abstractmethod
    def stored(self) -> dict[str, Tensor]:
        """Return what a summary stores, on the CPU. Its bytes are the summary's bytes."""


NOISE = ("noise", "glorot")
"""Initialisations that see no data."""


class Factorization(ABC):
    """Settings of a factorization."""

    name: ClassVar[str]

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
