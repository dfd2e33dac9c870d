"""Random selection: the baseline of every table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.parts import CoresetRule, Pool


@dataclass(frozen=True)
class RandomSelection(CoresetRule):
    """Uniform, without replacement, within each class."""

    name: ClassVar[str] = "random"

    def select(self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Tensor]:
        chosen = {}
        for class_id, count in counts.items():
            members = pool.members(class_id)
            chosen[class_id] = members[torch.randperm(len(members), generator=generator)[:count]]
        return chosen
