"""What a summary consists of, and the examples that it decodes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcore.parts import Decoded, Examples, Factorization, InitialWeights, Labels, Recipe, Spec


@dataclass(frozen=True, eq=False)
class Part:
    """A factorization with what it stores. A summary has one part, a union has several."""

    factorization: Factorization
    stored: Mapping[str, Tensor]

    @property
    def nbytes(self) -> int:
        """Bytes of the stored tensors."""
        return sum(t.numel() * t.element_size() for t in self.stored.values())


@dataclass(frozen=True, eq=False)
class Content:
    """What a summary consists of.

    Attributes:
        parts: what is stored, and the factorizations that make examples of it.
        spec: public facts of the target data.
        recipe: how to train on the examples.
        record: plain facts of how it was made: data, method, steps, seconds, seed, versions.
        initial: the weights that the recipe's steps start from. None: any.
        labels: what takes the place of class ids, or of labels that a part stores. None: nothing.
    """

    parts: tuple[Part, ...]
    spec: Spec
    recipe: Recipe = field(default_factory=Recipe)
    record: Mapping[str, Any] = field(default_factory=dict)
    labels: Labels | None = None
    initial: InitialWeights | None = None

    def examples(self) -> list[Examples]:
        """Return live examples of every part. They are new ones at every call."""
        return [part.factorization.restore(part.stored, self.spec) for part in self.parts]

    def tensors(self, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Return all normalised examples and their targets, on a device.

        Returns:
            Inputs ``n x ...``, and targets. Targets are class ids, ``n``, int64; or, if any part
            has soft labels or numbers, or `labels` are fixed, ``n x num_classes`` of ``dtype``.
        """
        inputs, targets = self.as_stored(device, dtype)
        fixed = None if self.labels is None else self.labels.fixed()
        return inputs, targets if fixed is None else fixed.to(device, dtype)

    def as_stored(
        self, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """Return what `tensors` returns, with the targets of the parts, whatever `labels` are."""
        with torch.no_grad():
            batches = [examples.decode() for examples in self.examples()]
        inputs = torch.cat([b.inputs for b in batches]).detach().to(device, dtype)
        targets = [b.targets.detach() for b in batches]
        soft = any(t.ndim == 2 for t in targets)
        joined = torch.cat([as_targets(t, soft, self.spec.num_classes) for t in targets]).to(device)
        return inputs, joined.to(dtype) if soft else joined

    def decoded(self) -> Decoded:
        """Return all examples as their modality shows them."""
        inputs, targets = self.tensors()
        owners = torch.empty(len(inputs), dtype=torch.int64)
        for class_id, places in self.members().items():
            owners[places] = class_id
        return Decoded(self.spec, inputs, targets, owners)

    def held(self) -> list[tuple[str, Tensor]]:
        """Return all stored tensors with their names: part after part, then those beside them."""
        beside = [] if self.labels is None else [self.labels.stored()]
        beside += [] if self.initial is None else [dict(self.initial.weights)]
        return [(name, held[name]) for held in [*(p.stored for p in self.parts), *beside] for name in sorted(held)]

    @property
    def counts(self) -> dict[int, int]:
        """Number of examples per class id."""
        total: dict[int, int] = {}
        for examples in self.examples():
            for class_id, count in examples.counts.items():
                total[class_id] = total.get(class_id, 0) + count
        return dict(sorted(total.items()))

    def members(self) -> dict[int, Tensor]:
        """Return, per class id, the indices of its examples in `tensors`, ascending."""
        found: dict[int, list[Tensor]] = {}
        before = 0
        for examples in self.examples():
            for class_id in examples.classes:
                found.setdefault(class_id, []).append(examples.indices_of(class_id) + before)
            before += sum(examples.counts.values())
        return {class_id: torch.cat(found[class_id]) for class_id in sorted(found)}

    @property
    def ipc(self) -> float:
        """Mean number of examples of the classes that have any. It is an int if it is whole."""
        counts = self.counts.values()
        mean = sum(counts) / len(counts)
        return int(mean) if mean == int(mean) else mean

    def __len__(self) -> int:
        return sum(self.counts.values())

    @property
    def stored_bytes(self) -> int:
        """Bytes of all that decoding and training need.

        These are the stored tensors, labels, initial weights and the recipe's learned numbers.
        """
        weights = 0 if self.initial is None else self.initial.nbytes
        return sum(part.nbytes for part in self.parts) + self.label_bytes + self.recipe.stored_bytes + weights

    @property
    def label_bytes(self) -> int:
        """Bytes of `labels`, which are part of `stored_bytes`."""
        return 0 if self.labels is None else self.labels.nbytes


def as_targets(targets: Tensor, soft: bool, num_classes: int) -> Tensor:
    """Return targets as they are, or, if ``soft``, as ``n x num_classes`` in float32."""
    if not soft:
        return targets
    return (targets if targets.ndim == 2 else F.one_hot(targets, num_classes)).float()


def original_bytes(spec: Spec, count: int) -> int:
    """Return the bytes of ``count`` real examples and their targets."""
    return count * spec.example_bytes() + spec.targets_bytes(count)
