"""What a summary costs to keep, beside the original."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from ddcore.labels.class_ids import pack_ids
from ddcore.parts import TargetData, tensors_of
from ddcore.summary import DataSummary, compressed_bytes, original_bytes


@dataclass(frozen=True)
class Storage:
    """Sizes in bytes.

    Attributes:
        examples_per_class: of the summary, on average.
        stored: of the summary as it is stored.
        compressed: of the summary after lossless compression (`DataSummary.compressed_bytes`).
        original: of the training split: one byte for a pixel or a category, four for any other
            number, and one for a class id (four from 257 classes).
        original_compressed: of the training split after the same compression. None: it was not
            asked for.
    """

    examples_per_class: float
    stored: int
    compressed: int
    original: int
    original_compressed: int | None

    @property
    def share(self) -> float:
        """Stored bytes as a share of the original's."""
        return self.stored / self.original

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON data."""
        return {**asdict(self), "share": self.share}


def storage(summary: DataSummary, target: TargetData, *, compress_original: bool = False) -> Storage:
    """Return the sizes of a summary and of the training split that it stands for."""
    compressed = None
    if compress_original:
        train = target.train
        numeric, classes = target.spec.task.numeric, target.spec.num_classes
        targets = train.targets.float() if numeric else pack_ids(train.targets, classes)
        inputs = train.inputs.float() if train.inputs.dtype == torch.float64 else train.inputs
        own = train.targets is train.inputs
        compressed = compressed_bytes([*tensors_of(inputs), *(() if own else tensors_of(targets))])
    return Storage(
        examples_per_class=summary.ipc,
        stored=summary.stored_bytes,
        compressed=summary.compressed_bytes(),
        original=original_bytes(target.spec, len(target.train)),
        original_compressed=compressed,
    )
