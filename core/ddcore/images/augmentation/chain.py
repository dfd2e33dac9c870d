"""Several augmentations, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ddcore.parts import Augmentation, Batch, Spec, View
from ddcore.settings import require

MOST = 64


@dataclass(frozen=True)
class Chain(Augmentation):
    """All of the given augmentations, in order."""

    augmentations: tuple[Augmentation, ...]

    def __post_init__(self) -> None:
        require(len(self.augmentations) <= MOST, f"a chain has {MOST} augmentations at most")

    @property
    def mixes_examples(self) -> bool:
        return any(a.mixes_examples for a in self.augmentations)

    def at(self, progress: float) -> Augmentation:
        return replace(self, augmentations=tuple(a.at(progress) for a in self.augmentations))

    def suited_to(self, spec: Spec) -> Augmentation:
        return replace(self, augmentations=tuple(a.suited_to(spec) for a in self.augmentations))

    def draw(self, generator: torch.Generator, count: int | None = None) -> View:
        return _ChainView([a.draw(generator, count) for a in self.augmentations])


@dataclass(frozen=True)
class _ChainView(View):
    views: Sequence[View]

    def __call__(self, batch: Batch) -> Batch:
        for view in self.views:
            batch = view(batch)
        return batch

    def tensors(self) -> tuple[torch.Tensor, ...]:
        return tuple(tensor for view in self.views for tensor in view.tensors())
