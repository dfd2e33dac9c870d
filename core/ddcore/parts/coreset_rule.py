"""What a coreset rule is: it selects real examples from the training split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.ground.mapped import examples_at
from ddcore.parts.batch import CPU, Batch
from ddcore.parts.spec import Spec
from ddcore.parts.target import Split


@dataclass(frozen=True)
class Pool:
    """The training split as a rule sees it. Batches of it are normalised."""

    split: Split
    spec: Spec
    device: torch.device

    def __len__(self) -> int:
        return len(self.split)

    def members(self, class_id: int) -> Tensor:
        """Return the indices of a class's examples."""
        return (self.spec.task.class_ids(self.split.targets) == class_id).nonzero().flatten()

    def batch(self, indices: Tensor) -> Batch:
        """Return normalised examples on the pool's device, to compute with."""
        inputs = self.spec.normalisation.apply(examples_at(self.split.inputs, indices, CPU).to(self.device))
        return Batch(inputs, self.split.targets[indices].to(self.device))

    def taken(self, indices: Tensor, dtype: torch.dtype) -> Batch:
        """Return normalised examples on the CPU, to keep."""
        inputs = self.spec.normalisation.apply(examples_at(self.split.inputs, indices, CPU), dtype)
        return Batch(inputs, self.split.targets[indices])


RULES: dict[str, type[CoresetRule]] = {}
"""Rules by name: those of ``ddcore.coresets``, and those that each modality adds."""


class CoresetRule(ABC):
    """Settings of a rule that selects real examples."""

    name: ClassVar[str]

    @abstractmethod
    def select(self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Tensor]:
        """Return, per class id, the indices of ``counts[class_id]`` distinct examples.

        The most wanted come first.
        """

    def examples(
        self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator, dtype: torch.dtype
    ) -> dict[int, Batch]:
        """Return, per class id, ``counts[class_id]`` normalised examples on the CPU.

        They are those that `select` returns, unless a rule makes new ones of them.
        """
        return {c: pool.taken(chosen, dtype) for c, chosen in self.select(pool, counts, generator).items()}
