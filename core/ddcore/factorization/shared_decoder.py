"""`SharedDecoder`: classes own items, and shared parts turn items into examples.

Source: survey, section 2.5.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ddcore.coresets import as_rule
from ddcore.errors import SettingsError, SummaryFormatError
from ddcore.factorization.numbers import check_storage, names_of, pack, packed_bytes, unpack
from ddcore.factorization.owned import OwnedExamples, owners_of, stored_owners
from ddcore.factorization.span import Span
from ddcore.ground.devices import recurring
from ddcore.labels.class_ids import ids_bytes
from ddcore.parts import (
    Batch,
    Context,
    Examples,
    Factorization,
    Ipc,
    Network,
    Run,
    Spec,
    check_ipc,
    counts_within,
    largest_size,
)
from ddcore.settings import override, require, require_counts

Decoding = Callable[[Tensor, Tensor, Tensor, Mapping[str, Tensor]], Tensor]
"""A function that makes one example of each item, in normalised space.

It takes the items (``n x item_shape``), their class ids (``n``), the number of the example among
those of its item (``n``, on the CPU), and the shared tensors by name.
"""

DECODED_AT_ONCE = 64
MAX_HIDDEN_AT_ONCE = 2**28
"""Most numbers in the widest hidden layer for examples decoded together. It bounds memory."""
MAX_HIDDEN = 2**33
"""Most numbers in the widest hidden layer for all examples. It bounds time."""
MAX_SIZE = 4096


class SharedDecoder(Factorization):
    """A class owns ``ipc`` items. A shared decoder makes `each` examples of an item.

    A subclass is a frozen dataclass. Its fields are ``ipc``, ``init``, ``storage`` and its sizes.
    Its methods are the mathematics.

    Attributes:
        items: name of the items in a summary, and of their parameter group.
        shared: name of the parameter group of everything else.
        sizes: names of the fields, whole numbers, that decoding needs.
        grows: name of the size that a budget of bytes chooses, if it is left at its default.
        shared_share: share of the budget that the shared parts may take when it chooses.
    """

    ipc: Ipc
    init: Any
    storage: str
    items: ClassVar[str]
    shared: ClassVar[str]
    sizes: ClassVar[tuple[str, ...]]
    grows: ClassVar[str]
    shared_share: ClassVar[float] = 0.4

    def __post_init__(self) -> None:
        check_storage(self.storage)
        check_ipc(self.ipc)
        for size in self.sizes:
            require_counts(**{size: getattr(self, size)})
            require(getattr(self, size) <= MAX_SIZE, f"{size} must not be above {MAX_SIZE}")
        if self.init != "noise":
            as_rule(self.init)

    @property
    def each(self) -> int:
        """Number of examples that one item gives."""
        return 1

    @abstractmethod
    def item_shape(self, spec: Spec) -> tuple[int, ...]:
        """Return the shape of one item.

        Raises:
            SettingsError: such data cannot be made with these sizes.
        """

    @abstractmethod
    def shared_like(self, spec: Spec) -> dict[str, Tensor]:
        """Return tensors like the shared ones as stored, on device ``meta``, so without memory.

        Tensors of whole numbers are not learned.
        """

    @abstractmethod
    def initial(self, run: Run, counts: Mapping[int, int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the items of all classes and the shared tensors, on the CPU."""

    @abstractmethod
    def decoding(self, spec: Spec) -> Decoding:
        """Return the function that makes one example per item, in normalised space."""

    def hidden(self, spec: Spec) -> int:
        """Return how many numbers the widest hidden layer has for one example."""
        return 0

    def from_stored(self, shared: dict[str, Tensor], owners: Tensor, spec: Spec) -> dict[str, Tensor]:
        """Return loaded shared tensors as decoding takes them.

        Raises:
            SummaryFormatError: decoding cannot take them.
        """
        return shared

    def to_stored(self, shared: dict[str, Tensor], spec: Spec) -> dict[str, Tensor]:
        """Return shared tensors as a summary stores them: the inverse of `from_stored`."""
        return shared

    def penalty(self, examples: DecodedExamples, run: Context) -> Tensor | None:
        """Return a term that the loss of every step gets in addition, or None."""
        return None

    def adversary(self, run: Context) -> Network | None:
        """Return a network that the penalty trains, or None. A summary does not store it."""
        return None

    def trained(self, spec: Spec) -> set[str]:
        """Return the names of the learned shared tensors. The others stay as they start."""
        return {name for name, tensor in self.shared_like(spec).items() if tensor.is_floating_point()}

    def counts_for(self, available: Mapping[int, int]) -> dict[int, int]:
        return {c: n * self.each for c, n in counts_within(self.ipc, available).items()}

    def start(self, run: Run) -> Examples:
        counts = counts_within(self.ipc, run.real.counts)
        excess = self._excess(sum(counts.values()), run.spec)
        require(not excess, f"{excess}: choose smaller sizes, or fewer items")
        items, shared = self.initial(run, counts)
        return DecodedExamples(self, items, shared, owners_of(counts), run.spec, {})

    def max_bytes(self, spec: Spec, available: Mapping[int, int]) -> int:
        n = sum(counts_within(self.ipc, available).values())
        items = packed_bytes((n, *self.item_shape(spec)), self.storage)
        return items + ids_bytes(n, spec.num_classes) + self.shared_bytes(spec)

    def shared_bytes(self, spec: Spec) -> int:
        """Return the bytes of everything but items and class ids."""
        return sum(
            packed_bytes(tuple(t.shape), self.storage) if t.is_floating_point() else t.numel() * t.element_size()
            for t in self.shared_like(spec).values()
        )

    def within(self, nbytes: int, spec: Spec, available: Mapping[int, int]) -> Self:
        sized, path = self, self.growing()
        if path is not None:

            def fits(size: int) -> bool:
                grown = override(override(self, path, size), "ipc", "clip:1")
                share = grown.shared_bytes(spec) <= self.shared_share * nbytes
                return share and grown.max_bytes(spec, available) <= nbytes

            sized = override(self, path, max(1, largest_size(fits, self.most(spec))))
        return super(SharedDecoder, sized).within(nbytes, spec, available)

    def growing(self) -> str | None:
        """Return the dotted path of the size that a budget of bytes chooses. None: it was given."""
        default = next(f.default for f in fields(self) if f.name == self.grows)  # type: ignore[arg-type]
        return self.grows if getattr(self, self.grows) == default else None

    def most(self, spec: Spec) -> int:
        """Return the largest useful value of the size that `grows`."""
        return MAX_SIZE

    def restore(self, stored: Mapping[str, Tensor], spec: Spec) -> DecodedExamples:
        like = self._known_shapes(spec)
        kinds = {self.items: True, **{name: t.is_floating_point() for name, t in like.items()}}
        names = {"classes"}
        for name, packed in kinds.items():
            names |= names_of(name, self.storage) if packed else {name}
        if set(stored) != names:
            odd = sorted(set(stored) ^ names)
            raise SummaryFormatError(f"{self.name} stores {self.items}, classes and {self.shared}; amiss: {odd[:5]}")
        items, span = unpack(self.items, stored, None, self.storage)
        if items.ndim == 0 or tuple(items.shape[1:]) != self.item_shape(spec):
            raise SummaryFormatError(f"{self.items} must be n x {self.item_shape(spec)}, found {tuple(items.shape)}")
        owners, order = stored_owners(stored, len(items), spec.num_classes)
        excess = self._excess(len(items), spec)
        if excess:
            raise SummaryFormatError(excess)
        spans, shared = {self.items: span}, {}
        for name, t in like.items():
            if t.is_floating_point():
                shared[name], spans[name] = unpack(name, stored, tuple(t.shape), self.storage)
            elif stored[name].shape != t.shape or stored[name].dtype != t.dtype:
                raise SummaryFormatError(f"{name} must be {tuple(t.shape)} of {t.dtype}")
            else:
                shared[name] = stored[name].clone()
        shared = self.from_stored(shared, owners, spec)
        return DecodedExamples(self, items[order], shared, owners, spec, spans)

    def _excess(self, items: int, spec: Spec) -> str:
        """Return why so many items are too many to decode, or an empty text."""
        examples, hidden = items * self.each, self.hidden(spec)
        if min(examples, DECODED_AT_ONCE) * hidden <= MAX_HIDDEN_AT_ONCE and examples * hidden <= MAX_HIDDEN:
            return ""
        return f"decoding {examples} examples takes {hidden} hidden numbers for each: too many"

    def _known_shapes(self, spec: Spec) -> dict[str, Tensor]:
        try:
            self.item_shape(spec)
            return self.shared_like(spec)
        except SettingsError as error:
            raise SummaryFormatError(str(error)) from error

    def decoder(self) -> dict[str, Any]:
        return {**{size: getattr(self, size) for size in self.sizes}, "storage": self.storage}

    @classmethod
    def from_decoder(cls, settings: Mapping[str, Any]) -> Factorization:
        if set(settings) != {*cls.sizes, "storage"} or not all(type(settings[size]) is int for size in cls.sizes):
            raise SummaryFormatError(
                f"{cls.name} records {', '.join(cls.sizes)} and storage, found {sorted(settings)[:5]}"
            )
        return cls(**settings)

    def quantize(self, stored: Mapping[str, Tensor], spec: Spec, to: str) -> tuple[Factorization, dict[str, Tensor]]:
        return replace(self, storage=to), self.restore(stored, spec).stored(to)  # type: ignore[type-var]


class DecodedExamples(OwnedExamples):
    """Items sorted by class, the shared tensors, and the adversary of a run, if any."""

    def __init__(
        self,
        factorization: SharedDecoder,
        items: Tensor,
        shared: Mapping[str, Tensor],
        owners: Tensor,
        spec: Spec,
        spans: Mapping[str, Span | None],
    ) -> None:
        super().__init__(owners, spec.num_classes, factorization.each)
        self._factorization, self._spec, self._spans = factorization, spec, spans
        self._decoding = factorization.decoding(spec)
        self.items = nn.Parameter(items.clone())
        trained = factorization.trained(spec)
        self._attributes = {name: "shared_" + name.replace(".", "/") for name in shared}
        for name, tensor in shared.items():
            if name in trained:
                self.register_parameter(self._attributes[name], nn.Parameter(tensor.clone()))
            else:
                self.register_buffer(self._attributes[name], tensor.clone())
        self.adversary: Network | None = None

    def shared(self) -> dict[str, Tensor]:
        """Return the shared tensors by name."""
        return {name: getattr(self, attribute) for name, attribute in self._attributes.items()}

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        each, owners = self._factorization.each, self.get_buffer("owners")
        if indices is None:
            indices = torch.arange(len(owners) * each)
        # Without a graph few examples at a time suffice, so that hidden layers take little memory.
        at_once = max(1, len(indices)) if torch.is_grad_enabled() else DECODED_AT_ONCE
        shared, parts = self.shared(), []
        for part in indices.split(at_once):
            where = recurring(part // each, self.items.device)
            parts.append(self._decoding(self.items[where], owners[where], part % each, shared))
        return Batch(torch.cat(parts), owners[recurring(indices // each, owners.device)])

    def begin(self, run: Context) -> None:
        self.adversary = self._factorization.adversary(run)

    def penalty(self, run: Context) -> Tensor | None:
        return self._factorization.penalty(self, run)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        shared = [t for t in self.shared().values() if isinstance(t, nn.Parameter)]
        groups = {self._factorization.items: [self.items], self._factorization.shared: shared}
        if self.adversary is not None:
            groups["adversary"] = list(self.adversary.parameters())
        return {name: parameters for name, parameters in groups.items() if parameters}

    def stored(self, storage: str | None = None) -> dict[str, Tensor]:
        storage = storage or self._factorization.storage
        stored = {"classes": self.packed_owners()}
        shared = self._factorization.to_stored(self.shared(), self._spec)
        for name, tensor in {self._factorization.items: self.items, **shared}.items():
            if tensor.is_floating_point():
                stored |= pack(name, tensor, storage, self._spans.get(name))
            else:
                stored[name] = tensor.cpu().clone()
        return stored
