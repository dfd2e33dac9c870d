"""A soft label per augmented view. Views follow from a seed, so that only labels are stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.errors import DAMAGES, SettingsError, SummaryFormatError, UnsupportedError
from ddcore.ground.devices import to_device
from ddcore.ground.randomness import generator
from ddcore.labels.checks import check_entries, read_count, read_makers, read_storage, read_temperature
from ddcore.labels.logits import LogitStorage, OpenLogits
from ddcore.parts import (
    Augmentation,
    Batch,
    Feed,
    Labelling,
    Labels,
    Spec,
    View,
    restored_augmentation,
    suited_augmentation,
)
from ddcore.settings import describe, with_settings

MAX_EPOCHS = 100_000
TRIED = 12
"""Draws of views that are tried before labels are trusted."""


@dataclass(frozen=True)
class Views:
    """Batches and views of some epochs. They follow from the settings alone.

    Attributes:
        epochs: distinct epochs. Longer trainings go through them again.
        batch_size: examples per batch.
        seed: of order and views.
        augmentation: of the views, already suited to the data.
    """

    epochs: int
    batch_size: int
    seed: int
    augmentation: Augmentation

    def batches(self, epoch: int, count: int) -> Iterator[tuple[Tensor, View]]:
        """Return the indices and views of the batches of an epoch over ``count`` examples."""
        random = generator(self.seed, "labelled-views", epoch % self.epochs)
        for indices in torch.randperm(count, generator=random).split(self.batch_size):
            yield indices, self.augmentation.draw(random, len(indices))


@dataclass(frozen=True, eq=False)
class ViewLabels(Labels):
    r"""A distribution :math:`\mathrm{softmax}(z / T)` for every example of every epoch's view.

    Logits lie epoch after epoch, each in the order of its batches.

    Source: Shen & Xing 2022 (arXiv:2112.01528), as SRe2L uses it (arXiv:2306.13092).
    """

    packed: Mapping[str, Tensor]
    storage: LogitStorage
    temperature: float
    views: Views
    count: int
    num_classes: int
    made_by: tuple[str, ...] = ()
    kind: ClassVar[str] = "soft-per-view"

    def stored(self) -> dict[str, Tensor]:
        return dict(self.packed)

    def config(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "storage": self.storage.storage,
            "top": self.storage.top,
            "made_by": list(self.made_by),
            "epochs": self.views.epochs,
            "batch_size": self.views.batch_size,
            "seed": self.views.seed,
            "augmentation": describe(self.views.augmentation),
        }

    def made_like(self, labelling: Labelling) -> Labelling:
        views = {name: getattr(self.views, name) for name in ("epochs", "batch_size", "augmentation")}
        return with_settings(
            labelling, kind=self.kind, temperature=self.temperature, **self.storage.settings(), **views
        )

    @classmethod
    def restore(cls, config: Mapping[str, Any], stored: Mapping[str, Tensor], count: int, spec: Spec) -> ViewLabels:
        check_entries(
            config, {"temperature", "storage", "top", "made_by", "epochs", "batch_size", "seed", "augmentation"}
        )
        epochs = read_count(config, "epochs", MAX_EPOCHS)
        if type(config["seed"]) is not int:
            raise SummaryFormatError("the seed of labels must be a whole number")
        augmentation = restored_augmentation(config["augmentation"])
        _try(augmentation, spec)
        views = Views(epochs, read_count(config, "batch_size", 2**31), config["seed"], augmentation)
        storage, temperature = read_storage(config), read_temperature(config)
        labels = cls(stored, storage, temperature, views, count, spec.num_classes, read_makers(config))
        labels.opened()
        return labels

    def opened(self) -> OpenLogits:
        """Return the logits of ``epochs x n`` rows."""
        return self.storage.opened(self.packed, self.views.epochs * self.count, self.num_classes)

    def feed(self, device: torch.device, dtype: torch.dtype) -> Feed:
        return _ViewFeed(self, device, dtype)


def _try(augmentation: Augmentation, spec: Spec) -> None:
    """Raise `SummaryFormatError` unless views of such data can be drawn."""
    try:
        if suited_augmentation(augmentation, spec) != augmentation:
            raise SummaryFormatError("the views of labels are not those of such data")
        blank = Batch(torch.zeros(2, *spec.shape), torch.zeros(2, dtype=torch.int64))
        for draw in range(TRIED):
            seen = augmentation.draw(generator(0, "tried-view", draw), 2)(blank)
            if seen.inputs.shape != blank.inputs.shape or not bool(torch.isfinite(seen.inputs).all()):
                raise SummaryFormatError("the views of labels are not finite, or of another shape")
    except (UnsupportedError, SettingsError, *DAMAGES) as error:
        if isinstance(error, SummaryFormatError):
            raise
        raise SummaryFormatError(f"the views of labels cannot be drawn: {error}") from error


class _ViewFeed(Feed):
    def __init__(self, labels: ViewLabels, device: torch.device, dtype: torch.dtype) -> None:
        self._labels, self._device, self._dtype = labels, device, dtype
        self._logits = labels.opened()
        self.batch_size, self.augmentation = labels.views.batch_size, labels.views.augmentation

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, View]]:
        return self._labels.views.batches(epoch, self._labels.count)

    def targets(self, epoch: int, number: int, viewed: Batch) -> Tensor:
        views, first = self._labels.views, number * self._labels.views.batch_size
        first += epoch % views.epochs * self._labels.count
        rows = self._logits.logits(slice(first, first + len(viewed.targets)))
        return (to_device(rows, self._device).to(self._dtype) / self._labels.temperature).softmax(dim=1)
