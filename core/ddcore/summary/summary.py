"""`DataSummary`: the result of distillation, with the recipe to train on it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from ddcore.data import Spec
from ddcore.errors import InputDataError, SettingsError
from ddcore.factorization import Examples, Factorization
from ddcore.factorization.labels import ids_bytes
from ddcore.summary.compression import compressed_bytes
from ddcore.summary.decoded import DecodedWhenAsked, as_targets
from ddcore.training import Recipe


@dataclass(frozen=True, eq=False)
class Part:
    """One decoder with what it stores. A summary has one; a union of summaries has several."""

    factorization: Factorization
    stored: Mapping[str, Tensor]

    @property
    def nbytes(self) -> int:
        """Bytes of the stored tensors."""
        return sum(t.numel() * t.element_size() for t in self.stored.values())


@dataclass(frozen=True, eq=False)
class DataSummary:
    """A distilled dataset.

    Attributes:
        parts: what is stored, and by which factorization it becomes examples.
        spec: shapes, classes and normalisation of the target data.
        recipe: how to train on it.
        record: plain facts of its making: data, method, steps, seconds, seed, versions.
    """

    parts: tuple[Part, ...]
    spec: Spec
    recipe: Recipe = field(default_factory=Recipe)
    record: Mapping[str, Any] = field(default_factory=dict)

    def examples(self) -> list[Examples]:
        """Return the live examples of every part (new ones at every call)."""
        return [part.factorization.restore(part.stored, self.spec) for part in self.parts]

    def tensors(self, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Return all examples in normalised space, and their targets, on a device.

        Returns:
            Inputs ``n x ...`` and targets: class ids (``n``, int64) or, where any part has soft labels, one
            distribution each (``n x num_classes``).
        """
        with torch.no_grad():
            batches = [examples.decode() for examples in self.examples()]
        inputs = torch.cat([b.inputs for b in batches]).detach().to(device, dtype)
        targets = [b.targets.detach() for b in batches]
        soft = any(t.ndim == 2 for t in targets)
        joined = torch.cat([as_targets(t, soft, self.spec.num_classes) for t in targets]).to(device)
        return inputs, joined.to(dtype) if soft else joined

    def as_dataset(self, *, lazy: bool = False) -> Dataset[tuple[Tensor, ...]]:
        """Return a torch ``Dataset`` of normalised inputs and targets. Do not normalise them again.

        Args:
            lazy: whether examples are decoded when they are asked for, instead of once and all.
        """
        return DecodedWhenAsked(self) if lazy else TensorDataset(*self.tensors())

    def to_pixels(self) -> Tensor:
        """Return all examples as pixels in [0, 1] (clipped), ``n x channels x height x width``."""
        return self.spec.normalisation.invert(self.tensors()[0]).clamp(0, 1)

    @property
    def counts(self) -> dict[int, int]:
        """Number of examples per class id."""
        total: dict[int, int] = {}
        for examples in self.examples():
            for class_id, count in examples.counts.items():
                total[class_id] = total.get(class_id, 0) + count
        return dict(sorted(total.items()))

    def members(self) -> dict[int, Tensor]:
        """Return, per class id, where its examples stand in `tensors`, in order."""
        found: dict[int, list[Tensor]] = {}
        before = 0
        for examples in self.examples():
            for class_id in examples.classes:
                found.setdefault(class_id, []).append(examples.indices_of(class_id) + before)
            before += sum(examples.counts.values())
        return {class_id: torch.cat(found[class_id]) for class_id in sorted(found)}

    @property
    def ipc(self) -> float:
        """Mean number of examples per class that has any; a whole number where all have the same."""
        counts = self.counts.values()
        mean = sum(counts) / len(counts)
        return int(mean) if mean == int(mean) else mean

    def __len__(self) -> int:
        return sum(self.counts.values())

    @property
    def stored_bytes(self) -> int:
        """Bytes of everything that decoding and training need: stored tensors and learned numbers of the recipe."""
        return sum(part.nbytes for part in self.parts) + self.recipe.stored_bytes

    def compressed_bytes(self) -> int:
        """Return the bytes after lossless compression: pixels stored as bytes by PNG, the rest by LZMA."""
        tensors = [part.stored[name] for part in self.parts for name in sorted(part.stored)]
        return compressed_bytes(tensors) + self.recipe.stored_bytes

    def quantize(self, to: str) -> DataSummary:
        """Return the summary stored as ``uint8`` or ``fp16``; each factorization says what that means for it."""
        parts = tuple(Part(*part.factorization.quantize(part.stored, self.spec, to)) for part in self.parts)
        return replace(self, parts=parts, record={**self.record, "quantised": to})

    def sha256(self) -> str:
        """Return a hash of the stored tensors."""
        digest = hashlib.sha256()
        for part in self.parts:
            for name in sorted(part.stored):
                tensor = part.stored[name].contiguous()
                digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
                digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    def save(self, directory: str | Path, *, overwrite: bool = False) -> Path:
        """Write the summary to a directory (see docs/summary.md); an existing summary is kept unless ``overwrite``."""
        from ddcore.summary.files import write_summary

        return write_summary(self, Path(directory), overwrite=overwrite)

    @classmethod
    def load(
        cls, directory: str | Path, *, factorizations: Mapping[str, type[Factorization]] | None = None
    ) -> DataSummary:
        """Read a summary from a directory; everything in it is checked before use.

        Args:
            directory: where `save` wrote it.
            factorizations: the caller's own classes by their ``name``; the file can name no other code.

        Raises:
            SummaryFormatError: damaged, hostile, or of an unknown version; the message names the fault.
        """
        from ddcore.summary.files import read_summary

        return read_summary(Path(directory), factorizations or {})

    def __repr__(self) -> str:
        name, data = self.record.get("method", {}).get("name", "custom"), self.record.get("data", "?")
        return f"DataSummary({name} of {data}: {len(self)} examples, {len(self.counts)} classes, {self.stored_bytes} bytes)"


def concat(summaries: Sequence[DataSummary], *, recipe: Recipe | None = None) -> DataSummary:
    """Return the union of summaries; their decoders may differ, class ids are global.

    Args:
        summaries: one at least.
        recipe: of the union; needed where theirs differ, or hold steps of their own, which are those of one summary alone.

    Raises:
        SettingsError: no summary, or their recipes do not go together and none is given.
        InputDataError: their shapes, normalisations or class names differ.
    """
    if not summaries:
        raise SettingsError("concat needs at least one summary")
    first = summaries[0]
    for other in summaries[1:]:
        if other.spec.shape != first.spec.shape:
            raise InputDataError(f"examples of shape {other.spec.shape} and {first.spec.shape} do not go together")
        if not other.spec.normalisation.same_as(first.spec.normalisation):
            raise InputDataError("the summaries differ in normalisation: load their data with one normalisation=")
        if recipe is None and (other.recipe != first.recipe or first.recipe.steps is not None):
            raise SettingsError(
                f"the summaries' recipes do not go together ({_short(other.recipe)}; {_short(first.recipe)}): say with recipe= how to "
                "train on their union (Recipe.merged, for those by one method)"
            )
    named = [s.spec for s in summaries if s.spec.class_names]
    largest = max((s.spec for s in summaries), key=lambda s: (s.num_classes, bool(s.class_names)))
    for spec in named:
        if spec.class_names != largest.class_names[: spec.num_classes] and largest.class_names:
            raise InputDataError("the summaries give one class id different names")
    if any(s.spec.num_classes != largest.num_classes and _has_soft_labels(s) for s in summaries):
        raise InputDataError("soft labels over label spaces of different sizes do not go together: declare num_classes")
    spec = replace(
        largest,
        classes=tuple(sorted({c for s in summaries for c in s.spec.classes})),
        mirror=all(s.spec.mirror for s in summaries),
    )
    names = {s.record.get("data", "?") for s in summaries}
    record = {
        "data": names.pop() if len(names) == 1 else "union",
        "method": first.record.get("method", {}) if _one_method(summaries) else {"name": "union"},
        "cites": list(dict.fromkeys(key for s in summaries for key in s.record.get("cites", []))),
        "union_of": [dict(s.record) for s in summaries],
    }
    return DataSummary(tuple(p for s in summaries for p in s.parts), spec, recipe or first.recipe, record)


def _short(recipe: Recipe) -> str:
    steps = "" if recipe.steps is None else f", {len(recipe.steps.rates)} steps of its own"
    return f"{recipe.loss}, learning rate {recipe.learning_rate}{steps}"


def _has_soft_labels(summary: DataSummary) -> bool:
    return summary.tensors()[1].ndim == 2


def _one_method(summaries: Sequence[DataSummary]) -> bool:
    return len({str(s.record.get("method", {}).get("name")) for s in summaries}) == 1


def original_bytes(spec: Spec, count: int) -> int:
    """Return the bytes of ``count`` real examples: one per pixel, and one per class id (four from 257 classes)."""
    return count * math.prod(spec.shape) + ids_bytes(count, spec.num_classes)
