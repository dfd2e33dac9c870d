"""The synthetic examples of a run, or of a loaded summary."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ddcore.errors import UnsupportedError
from ddcore.parts.batch import Batch
from ddcore.parts.context import Context


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

    def begin(self, run: Context) -> None:
        """Make what only distillation needs (an adversary); called once, before the first step or the checkpoint that takes its place."""

    def penalty(self, run: Context) -> Tensor | None:
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
