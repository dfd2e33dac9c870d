"""`Examples`: the synthetic examples of a run, or of a loaded summary."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

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
    draws_when_decoded: ClassVar[bool] = True
    """Whether `decode` draws from its generator. If not, classes may be decoded together."""

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
        """Return indices of ``count`` distinct examples of each class, one class after the other.

        None asks for all examples. A class that has fewer than ``count`` gives all it has.
        """
        drawn = []
        for class_id in classes:
            indices = self.indices_of(class_id)
            if count is not None and count < len(indices):
                indices = indices[torch.randperm(len(indices), generator=generator)[:count]]
            drawn.append(indices)
        return torch.cat(drawn)

    @abstractmethod
    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        """Return normalised examples. ``indices`` None asks for all.

        Without a generator the result is deterministic.
        """

    def begin(self, run: Context) -> None:
        """Make what only distillation needs, such as an adversary.

        It is called once, before the first step, or before a checkpoint is loaded in its place.
        """

    def penalty(self, run: Context) -> Tensor | None:
        """Return a term that this factorization adds to the loss of every step, or None."""
        return None

    @abstractmethod
    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters in named groups, stored ones first.

        An optimiser may give each group a learning rate of its own.
        """

    def assign_labels(self, labels: Tensor) -> None:
        """Put these soft labels, one row per example, in place of the present ones.

        Raises:
            UnsupportedError: the labels are fixed.
        """
        raise UnsupportedError(
            f"{type(self).__name__} have fixed labels: labels can be assigned to pixels with factorization.labels='soft'"
        )

    def after_step(self, step: int) -> None:
        """Adjust the stored parameters after an update, such as clamp them."""

    @abstractmethod
    def stored(self) -> dict[str, Tensor]:
        """Return what a summary stores, on the CPU. Its bytes are the summary's bytes."""
