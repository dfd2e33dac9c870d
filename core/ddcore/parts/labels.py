"""What labels are, where class ids are not enough: settings that make them, and what is stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.parts.augmentation import Augmentation, View
from ddcore.parts.batch import Batch
from ddcore.parts.spec import Spec

LABELS: dict[str, type[Labels]] = {}
"""Stored labels by kind. A loaded summary can use these and no others."""


class Feed(ABC):
    """Labels as the training of one network asks for them.

    Attributes:
        batch_size: examples per update, where the labels fix it; else None.
        augmentation: of the views, where the labels fix them; else None.
    """

    batch_size: int | None = None
    augmentation: Augmentation | None = None

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, View]] | None:
        """Return the indices and views of an epoch's batches, where the labels fix them."""
        return None

    @abstractmethod
    def targets(self, epoch: int, number: int, viewed: Batch) -> Tensor:
        """Return the probabilities of the classes, ``n x num_classes``, of a batch.

        Args:
            epoch: of the training, from 0.
            number: of the batch within the epoch.
            viewed: its examples under their view.
        """


class Labels(ABC):
    """The labels of a summary's examples, in the order of its examples.

    Attributes:
        temperature: at which a teacher's logits became probabilities, and at which networks are
            trained on them.
        made_by: hashes of the teachers whose labels they are.
    """

    kind: ClassVar[str]
    temperature: float
    made_by: tuple[str, ...] = ()

    @abstractmethod
    def stored(self) -> dict[str, Tensor]:
        """Return the tensors that a summary stores."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return the settings that `restore` needs, as JSON data."""

    @classmethod
    @abstractmethod
    def restore(cls, config: Mapping[str, Any], stored: Mapping[str, Tensor], count: int, spec: Spec) -> Labels:
        """Return the labels of ``count`` examples that ``stored`` holds.

        Raises:
            SummaryFormatError: names, shapes, types or values are not what such labels store.
        """

    @property
    def nbytes(self) -> int:
        """Bytes of the stored tensors."""
        return sum(t.numel() * t.element_size() for t in self.stored().values())

    def made_like(self, labelling: Labelling) -> Labelling:
        """Return the settings that make such labels of other examples.

        Args:
            labelling: settings whose teachers are those that made these labels.
        """
        return labelling

    def fixed(self) -> Tensor | None:
        """Return one distribution per example, ``n x num_classes``, if labels do not change."""
        return None

    def feed(self, device: torch.device, dtype: torch.dtype) -> Feed | None:
        """Return labels that change during training. None: they are `fixed`."""
        return None


class Labelling(ABC):
    """Settings that make labels of examples."""

    @abstractmethod
    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of stored labels that do in place of those that it would make."""

    @abstractmethod
    def max_bytes(self, count: int, spec: Spec) -> int:
        """Return the bytes of the labels of ``count`` examples. It is known before a run.

        Raises:
            BudgetError: the settings allow fewer bytes than the smallest such labels take.
        """

    @abstractmethod
    def check(self, count: int, spec: Spec) -> None:
        """Raise the error that `label` would raise for ``count`` examples of such data.

        Raises:
            BudgetError: see `max_bytes`.
            TeacherError: a teacher is missing, or reads other data.
            UnsupportedError: such examples cannot be labelled so.
        """

    @abstractmethod
    def label(self, examples: Batch, spec: Spec, *, seed: int) -> Labels:
        """Return the labels of normalised examples.

        Args:
            examples: on the device on which labels are computed.
            spec: facts of the data.
            seed: of order and views, where labels depend on them.
        """
