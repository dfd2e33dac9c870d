"""What a summary costs to keep, beside the original."""

from __future__ import annotations

import lzma
from dataclasses import asdict, dataclass
from typing import Any

from ddcore.data import TargetData
from ddcore.factorization.labels import pack_ids
from ddcore.summary import DataSummary, original_bytes


@dataclass(frozen=True)
class Storage:
    """Sizes in bytes.

    Attributes:
        stored: of the summary as it is stored.
        compressed: of the summary after lossless compression (LZMA).
        original: of the training split: one byte per pixel, the class id in one byte (four from 257 classes).
        original_compressed: of the training split after the same compression; None where it was not asked for.
    """

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
        content = train.inputs.numpy().tobytes() + pack_ids(train.targets, target.spec.num_classes).numpy().tobytes()
        compressed = len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    return Storage(
        stored=summary.stored_bytes,
        compressed=summary.compressed_bytes(),
        original=original_bytes(target.spec, len(target.train)),
        original_compressed=compressed,
    )
