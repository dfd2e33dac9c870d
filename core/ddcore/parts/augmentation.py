"""What an augmentation is: settings that draw views. A view maps a batch to a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch

from ddcore.errors import UnsupportedError
from ddcore.parts.batch import Batch
from ddcore.parts.spec import Spec


class View(ABC):
    """One draw of an augmentation. It does the same to every batch (siamese)."""

    @abstractmethod
    def __call__(self, batch: Batch) -> Batch:
        """Return the augmented batch. It is differentiable in the inputs."""


class Augmentation(ABC):
    """Settings of an augmentation."""

    modality: ClassVar[str | None] = None
    """The only modality whose examples it changes. None: it changes any."""

    @abstractmethod
    def draw(self, generator: torch.Generator, count: int | None = None) -> View:
        """Draw a view.

        Args:
            generator: a CPU generator.
            count: number of examples that get a draw each. None: all examples share one draw.
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
    """Stands for the usual augmentation of the data at hand. A run puts that in its place."""

    def draw(self, generator: torch.Generator, count: int | None = None) -> View:
        raise UnsupportedError("the usual augmentation is that of a modality: see suited_augmentation")
