"""The training split as a selection rule sees it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ddcore.batch import Batch
from ddcore.data.spec import Spec
from ddcore.data.target import Split


@dataclass(frozen=True)
class Pool:
    """Real examples as a rule sees them: all of them, normalised where it asks."""

    split: Split
    spec: Spec
    device: torch.device

    def __len__(self) -> int:
        return len(self.split)

    def members(self, class_id: int) -> Tensor:
        """Return the indices of a class's examples."""
        return (self.split.targets == class_id).nonzero().flatten()

    def batch(self, indices: Tensor) -> Batch:
        """Return normalised examples on the pool's device."""
        inputs = self.spec.normalisation.apply(self.split.inputs[indices].to(self.device))
        return Batch(inputs, self.split.targets[indices].to(self.device))
