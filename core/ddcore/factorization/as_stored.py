"""`AsStored`: every example is its own row of free parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.coresets import as_rule
from ddcore.errors import SummaryFormatError, UnknownNameError
from ddcore.factorization.numbers import STORAGE, packed_bytes
from ddcore.factorization.owned import OwnedExamples, owners_of, stored_items
from ddcore.ground.devices import consecutive
from ddcore.labels.class_ids import ids_bytes
from ddcore.parts import (
    NOISE,
    Batch,
    CoresetRule,
    Examples,
    Factorization,
    Ipc,
    Run,
    Spec,
    check_ipc,
    counts_within,
)

LABELS = ("hard", "soft", "softmax")
LABEL_INITS = ("one_hot", "centred", "scaled", "random")


@dataclass(frozen=True)
class AsStored(Factorization):
    """Every example is its own free parameters.

    Attributes:
        ipc: examples per class: one number; one per class id; ``clip:N``, which is N, or all that
            a smaller class has; or ``total:N``, N in all.
        init: what the examples are at first. ``noise`` is standard normal in normalised space.
            ``glorot`` is uniform, as Glorot & Bengio draw the weights of a layer of as many rows
            as there are examples. Else it is a coreset rule, its name or its settings.
        labels: ``hard`` ones are class ids. ``soft`` ones are ``num_classes`` learned numbers per
            example. ``softmax`` ones are such numbers taken as logits, so that labels stay
            distributions. Where targets are numbers, ``hard`` ones stay as they start, and
            ``soft`` ones are learned.
        label_init: what ``soft`` labels are at first, for C classes. ``one_hot``; ``centred``:
            one-hot minus 1 / C; ``scaled``: that divided by sqrt(C / 10); or ``random``: standard
            normal numbers. A ``softmax`` label starts with a probability of .99 + .01 / C for its
            class.
        transform: whether a linear map of all inputs is learned with the examples. It starts as
            the identity, and is the parameter group ``transform``. What is stored has gone
            through it.
        storage: ``float32`` or ``fp16``.
    """

    ipc: Ipc = field(default=10, hash=False)
    init: str | CoresetRule = "random"
    labels: str = "hard"
    storage: str = "float32"
    label_init: str = "one_hot"
    transform: bool = False
    storages: ClassVar[tuple[str, ...]] = ("float32", "fp16")

    def __post_init__(self) -> None:
        for value, allowed, what in (
            (self.labels, LABELS, "labels"),
            (self.label_init, LABEL_INITS, "label_init"),
            (self.storage, self.storages, "storage"),
        ):
            if value not in allowed:
                raise UnknownNameError(what, value, allowed)
        check_ipc(self.ipc)
        if self.init not in NOISE:
            as_rule(self.init)

    def as_kind(self, kind: type[Factorization]) -> Factorization | None:
        if not issubclass(kind, AsStored):
            return None
        shared = {f.name: getattr(self, f.name) for f in fields(AsStored)}
        if self.storage not in kind.storages:
            shared["storage"] = kind.storages[0]
        return kind(**shared)

    def counts_for(self, available: Mapping[int, int]) -> dict[int, int]:
        return counts_within(self.ipc, available)

    def learning_rates(self) -> dict[str, float]:
        rates = {self.items: 0.05}
        if self.labels != "hard":
            rates["labels"] = 0.01
        return rates | ({"transform": 1e-3} if self.transform else {})

    def max_bytes(self, spec: Spec, available: Mapping[int, int]) -> int:
        n = sum(self.counts_for(available).values())
        labels = packed_bytes((n, spec.num_classes), "float32") if self.stores_labels(spec) else 0
        return self.item_bytes(n, spec) + ids_bytes(n, spec.num_classes) + labels

    def item_bytes(self, count: int, spec: Spec) -> int:
        """Return the most bytes of ``count`` examples without their labels."""
        return packed_bytes((count, *self.item_shape(spec)), self.storage)

    def stores_labels(self, spec: Spec) -> bool:
        """Whether labels are stored beside class ids: soft ones, or numbers."""
        return self.labels != "hard" or spec.task.numeric

    def item_shape(self, spec: Spec) -> tuple[int, ...]:
        """Return the shape of what is stored of one example."""
        return spec.shape

    def chosen_values(self, inputs: Tensor, spec: Spec) -> Tensor:
        """Return the values at which chosen examples start, ``n x ...``."""
        return inputs

    def noise(self, count: int, spec: Spec, random: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Return the values at which examples start that see no data, ``count x ...``."""
        return torch.randn(count, *self.item_shape(spec), generator=random, dtype=dtype)

    def start(self, run: Run) -> Examples:
        counts, spec = self.counts_for(run.real.counts), run.spec
        random, size = run.generator("init"), sum(counts.values())
        targets = None
        if self.init == "noise":
            inputs = self.noise(size, spec, random, run.dtype)
        elif self.init == "glorot":
            inputs = torch.empty(size, *self.item_shape(spec), dtype=run.dtype)
            nn.init.xavier_uniform_(inputs.flatten(1), generator=random)
        else:
            chosen = run.real.select(as_rule(self.init), counts, random)
            inputs = torch.cat([self.chosen_values(chosen[c].inputs.to("cpu", run.dtype), spec) for c in counts])
            targets = torch.cat([chosen[c].targets.cpu() for c in counts])
        owners = owners_of(counts)
        if spec.task.numeric:
            numbers = torch.randn(size, spec.num_classes, generator=random) if targets is None else targets
            soft: Tensor | None = numbers.to(run.dtype)
        else:
            soft = None if self.labels == "hard" else self._first_labels(owners, spec.num_classes, random).to(run.dtype)
        examples = self.examples(inputs, owners, soft, spec)
        examples.after_step(0)
        return examples

    def examples(self, inputs: Tensor, owners: Tensor, labels: Tensor | None, spec: Spec) -> StoredExamples:
        """Return new live examples."""
        return StoredExamples(self, inputs, owners, labels, spec)

    def _first_labels(self, owners: Tensor, classes: int, random: torch.Generator) -> Tensor:
        one_hot = F.one_hot(owners, classes).double()
        if self.labels == "softmax":
            return (0.99 * one_hot + 0.01 / classes).log()
        if self.label_init == "random":
            return torch.randn(len(owners), classes, generator=random, dtype=torch.float64)
        if self.label_init == "one_hot":
            return one_hot
        return (one_hot - 1 / classes) / (math.sqrt(classes / 10) if self.label_init == "scaled" else 1.0)

    def restore(self, stored: Mapping[str, Tensor], spec: Spec) -> StoredExamples:
        names = {self.items, "classes"} | ({"labels"} if self.stores_labels(spec) else set())
        if not names <= set(stored) <= names | self.optional():
            raise SummaryFormatError(f"{self.name} store {sorted(names)}, found {sorted(stored)}")
        items, owners, order = stored_items(
            stored, self.items, self.item_shape(spec), STORAGE[self.storage], spec.num_classes
        )
        soft = self.read_labels(stored, len(owners), spec)
        return self.restored(items, owners, None if soft is None else soft[order], spec, stored)

    def read_labels(self, stored: Mapping[str, Tensor], count: int, spec: Spec) -> Tensor | None:
        """Return the stored labels of ``count`` examples, or None if class ids are all.

        Raises:
            SummaryFormatError: they are not one row of float32 for each.
        """
        labels = stored.get("labels")
        if labels is not None and (tuple(labels.shape) != (count, spec.num_classes) or labels.dtype != torch.float32):
            raise SummaryFormatError(
                f"labels must be {count} x {spec.num_classes} of float32, found {tuple(labels.shape)}"
            )
        return labels

    def restored(
        self, items: Tensor, owners: Tensor, labels: Tensor | None, spec: Spec, stored: Mapping[str, Tensor]
    ) -> StoredExamples:
        """Return live examples of loaded tensors. They have been checked."""
        return self.without_transform().examples(items.float(), owners, labels, spec)

    def without_transform(self) -> AsStored:
        """Return the settings of stored examples, which have gone through the transform already."""
        return replace(self, transform=False) if self.transform else self

    def optional(self) -> set[str]:
        """Return the names of tensors that may be stored or not."""
        return set()

    def decoder(self) -> dict[str, Any]:
        return {"labels": self.labels, "storage": self.storage}

    @classmethod
    def from_decoder(cls, settings: Mapping[str, Any]) -> AsStored:
        if set(settings) != {"labels", "storage"}:
            raise SummaryFormatError(f"{cls.name} record labels and storage, found {sorted(settings)[:5]}")
        return cls(labels=settings["labels"], storage=settings["storage"])

    def quantize(self, stored: Mapping[str, Tensor], spec: Spec, to: str) -> tuple[Factorization, dict[str, Tensor]]:
        smaller, examples = replace(self, storage=to), self.restore(stored, spec)
        return smaller, examples.stored(to)


class StoredExamples(OwnedExamples):
    """Examples that are their own free parameters, sorted by class."""

    def __init__(self, settings: AsStored, inputs: Tensor, owners: Tensor, labels: Tensor | None, spec: Spec) -> None:
        super().__init__(owners, spec.num_classes)
        self._settings = settings
        self._spec = spec
        self.register_parameter(settings.items, nn.Parameter(inputs.clone()))
        size = math.prod(spec.shape)
        self.transform = nn.Parameter(torch.eye(size, dtype=inputs.dtype)) if settings.transform else None
        self.soft_labels = None if labels is None else nn.Parameter(labels.clone())

    @property
    def values(self) -> nn.Parameter:
        """The learned inputs before the transform, ``n x ...``."""
        values: nn.Parameter = getattr(self, self._settings.items)
        return values

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        targets: Tensor = self.get_buffer("owners") if self.soft_labels is None else self.soft_labels
        if self._settings.labels == "softmax" and not self._spec.task.numeric:
            targets = targets.softmax(dim=1)
        if indices is None:
            return Batch(self._transformed(self.values), targets)
        where = consecutive(indices, self.values.device)
        return Batch(self._transformed(self.values[where]), targets[where])

    def _transformed(self, inputs: Tensor) -> Tensor:
        return inputs if self.transform is None else (inputs.flatten(1) @ self.transform).view_as(inputs)

    def assign_labels(self, labels: Tensor) -> None:
        if self.soft_labels is None or self._settings.labels == "hard":
            super().assign_labels(labels)
            return
        with torch.no_grad():
            softmax = self._settings.labels == "softmax"
            self.soft_labels.copy_(labels.clamp_min(1e-6).log() if softmax else labels)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        groups = {self._settings.items: [self.values]}
        if self.soft_labels is not None and self._settings.labels != "hard":
            groups["labels"] = [self.soft_labels]
        if self.transform is not None:
            groups["transform"] = [self.transform]
        return groups

    def stored(self, storage: str | None = None) -> dict[str, Tensor]:
        storage = storage or self._settings.storage
        inputs = self._transformed(self.values).detach().cpu()
        stored = self.packed(inputs, storage) | {"classes": self.packed_owners()}
        if self.soft_labels is not None:
            stored["labels"] = self.soft_labels.detach().cpu().float()
        return {name: tensor.contiguous().clone() for name, tensor in stored.items()}

    def packed(self, inputs: Tensor, storage: str) -> dict[str, Tensor]:
        """Return the inputs as a summary stores them."""
        return {self._settings.items: inputs.to(STORAGE[storage])}
