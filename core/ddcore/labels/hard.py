"""Class ids in place of the labels that a part stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from ddcore.errors import SummaryFormatError
from ddcore.labels.checks import check_entries
from ddcore.labels.class_ids import pack_ids, unpack_ids
from ddcore.parts import Labels, Spec


@dataclass(frozen=True, eq=False)
class ClassLabels(Labels):
    """The class id of every example, where a part stores labels of its own."""

    ids: Tensor
    num_classes: int
    temperature: float = 1.0
    kind: ClassVar[str] = "hard"

    def stored(self) -> dict[str, Tensor]:
        return {"classes": pack_ids(self.ids, self.num_classes)}

    def config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def restore(cls, config: Mapping[str, Any], stored: Mapping[str, Tensor], count: int, spec: Spec) -> ClassLabels:
        check_entries(config, set())
        if set(stored) != {"classes"}:
            raise SummaryFormatError(f"hard labels are class ids alone, found {sorted(stored)[:5]}")
        return cls(unpack_ids(stored["classes"], count, spec.num_classes), spec.num_classes)

    def fixed(self) -> Tensor:
        return F.one_hot(self.ids, self.num_classes).float()
