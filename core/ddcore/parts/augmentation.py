"""What an augmentation is: settings that draw a view, and a view that maps a batch to a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch

from ddcore.errors import UnsupportedError
from ddcore.parts.batch import Batch
from ddcore.parts.spec import Spec


class View(ABC):
    """One draw of an augmentation: applied to two batches, it does the same to both (siamese)."""

    @abstractmethod
    def __call__(self, batch: Batch) -> Batch:
        """Return the augmented batch; differentiable in the inputs."""


class Augmentation(ABC):
    """Settings of an augmentation."""

    modality: ClassVar[str | None] = None
    """The one modality whose examples it changes; None: any."""

    @abstractmethod
    def draw(self, generator: torch.Generator, count: int | None = None) -> View:
        """Draw a view.

        Args:
            generator: a CPU generator.
            count: number of examples that get a draw of their own; None: one draw shared by all.
        """

    @property
    def mixes_examples(self) -> bool:
        """Whether a view's example depends on other examples of its batch."""
        return False

    def suited_to(self, spec: Spec) -> Augmentation:
        """Return these settings without what would change the class of such data."""
        return self


@dataclass(frozen=True)
class Unchanged(View):
    """The view that changes nothing."""

    def __call__(self, batch: Batch) -> Batch:
        return batch


@dataclass(frozen=True)
class NoAugmentation(Augmentation):
    """Examples as they are."""

    def draw(self, generator: torch.Generator, count: int | None = None) -> View:
        return Unchanged()


@dataclass(frozen=True)
class UsualAugmentation(Augmentation):
    """Stands for the augmentation that the data at hand are usually trained with; a run replaces it."""

    modality: ClassVar[str | None] = "any that is known"

    def draw(self, generator: torch.Generator, count: int | None = None) -> View:
        raise UnsupportedError("the usual augmentation is that of a modality: see suited_augmentation")
