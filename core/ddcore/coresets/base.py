"""What a selection rule is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.data.pool import Pool


class CoresetRule(ABC):
    """Settings of a rule that selects real examples."""

    name: ClassVar[str]

    @abstractmethod
    def select(self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Tensor]:
        """Return, per class id, the indices of ``counts[class_id]`` distinct examples, the most wanted first."""
