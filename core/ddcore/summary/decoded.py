"""Datasets of a summary's examples: decoded when they are asked for, or transformed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ddcore.summary.content import Content, as_targets


class DecodedWhenAsked(Dataset[tuple[Tensor, ...]]):
    """Inputs and targets as `Content.tensors` has them, in the same order.

    Memory holds only what is stored, in single precision.
    """

    def __init__(self, summary: Content) -> None:
        self._summary = summary
        self._examples = summary.examples()
        self._num_classes = summary.spec.num_classes
        sizes = [sum(examples.counts.values()) for examples in self._examples]
        self._ends = torch.tensor(sizes).cumsum(0)
        self._fixed = None if summary.labels is None else summary.labels.fixed()
        with torch.no_grad():
            self._soft = any(e.decode(torch.tensor([0])).targets.ndim == 2 for e in self._examples)

    def __reduce__(self) -> tuple[Any, ...]:
        return DecodedWhenAsked, (self._summary,)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        (example,) = self.__getitems__([index])
        return example

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, ...]]:
        """Return several examples, decoded together. A ``DataLoader`` asks for them so."""
        found: dict[int, tuple[Tensor, ...]] = {}
        for index in indices:
            if not -len(self) <= index < len(self):
                raise IndexError(f"example {index} of {len(self)}")
        wanted = torch.tensor(indices) % len(self)
        parts = torch.searchsorted(self._ends, wanted, right=True)
        for number in parts.unique().tolist():
            before = int(self._ends[number - 1]) if number else 0
            places = (parts == number).nonzero().squeeze(1)
            with torch.no_grad():
                batch = self._examples[number].decode(wanted[places] - before)
            targets = as_targets(batch.targets, self._soft, self._num_classes)
            if self._fixed is not None:
                targets = self._fixed[wanted[places]]
            found |= dict(zip(places.tolist(), zip(batch.inputs, targets, strict=True), strict=True))
        return [found[place] for place in range(len(indices))]


class Transformed(Dataset[tuple[Any, ...]]):
    """The examples of another dataset, each brought back to what the data hold, and transformed."""

    def __init__(
        self,
        dataset: Dataset[tuple[Tensor, ...]],
        restore: Callable[[Tensor], Tensor],
        transform: Callable[[Tensor], Any],
    ) -> None:
        self._dataset, self._restore, self._transform = dataset, restore, transform

    def __len__(self) -> int:
        return len(self._dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        example, target = self._dataset[index]
        return self._transform(self._restore(example)), target
