"""What an augmentation is: settings that draw views. A view maps a batch to a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ddcore.errors import SettingsError, UnsupportedError
from ddcore.parts.batch import Batch, concatenated, split_batch
from ddcore.parts.spec import Spec
from ddcore.settings import restored_settings


class View(ABC):
    """One draw of an augmentation. It does the same to every batch (siamese)."""

    @abstractmethod
    def __call__(self, batch: Batch) -> Batch:
        """Return the augmented batch. It is differentiable in the inputs."""

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """Return the drawn numbers that a device needs. They are sent there together."""
        return ()

    @property
    def kind(self) -> Hashable:
        """What views have in common that `joined` can join. None: it joins no others."""
        return None

    def joined(self, others: Sequence[View], counts: Sequence[int], device: torch.device) -> View:
        """Return one view of several batches in a row: this one's, and those of ``others``.

        Args:
            others: of the same ``kind``, each drawn for one batch.
            counts: number of examples of each batch, this one's first.
            device: of the batches.
        """
        raise UnsupportedError(f"{type(self).__name__} joins no other views")


AUGMENTATIONS: dict[str, type[Augmentation]] = {}
"""Augmentations by class name, beside those of this room. A loaded summary can use no others."""


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

    def at(self, progress: float) -> Augmentation:
        """Return the settings of a moment of a run, where they change: a curriculum.

        Args:
            progress: the share of the run that is done, in [0, 1].
        """
        return self

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


def restored_augmentation(config: object) -> Augmentation:
    """Return the augmentation that `ddcore.settings.describe` recorded.

    Raises:
        SettingsError: its class, or a setting of it, is unknown or of the wrong kind.
    """
    restored = restored_settings(config, {"NoAugmentation": NoAugmentation, **AUGMENTATIONS})
    if not isinstance(restored, Augmentation):
        raise SettingsError(f"an augmentation belongs where {str(config)[:40]!r} stands")
    return restored


def viewed_at_once(batch: Batch, views: Mapping[int, View], counts: Mapping[int, int]) -> Batch:
    """Return examples, class after class, each class under its view.

    Views of one kind are applied together: as many operations as there are kinds, whatever the
    number of classes.

    Args:
        batch: of tensors.
        views: per class id.
        counts: number of examples per class id, in the order of the batch.
    """
    parts = dict(zip(counts, split_batch(batch, list(counts.values())), strict=True))
    alike: dict[Hashable, list[int]] = {}
    for c in counts:
        alike.setdefault(c if views[c].kind is None else (None, views[c].kind), []).append(c)
    seen: dict[int, Batch] = {}
    for classes in alike.values():
        first, *others = (views[c] for c in classes)
        sizes = [counts[c] for c in classes]
        view = first.joined(others, sizes, batch.inputs.device) if others else first
        together = view(concatenated([parts[c] for c in classes]))
        seen.update(zip(classes, split_batch(together, sizes), strict=True))
    return concatenated([seen[c] for c in counts])
