"""`Pixels`: every example is its own array of free parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.batch import Batch
from ddcore.coresets import CoresetRule, as_rule
from ddcore.engine.devices import to_device
from ddcore.errors import SummaryFormatError, UnknownNameError, UnsupportedError
from ddcore.factorization.base import NOISE, Examples, Factorization
from ddcore.factorization.budget import Ipc, check_ipc, counts_within
from ddcore.factorization.byte_pixels import UNIT, Span, dequantise, fitting_span, pack_span, quantise, unpack_span
from ddcore.factorization.labels import ids_bytes
from ddcore.factorization.numbers import STORAGE, check_storage, packed_bytes
from ddcore.factorization.owned import OwnedExamples, owners_of, stored_items
from ddcore.settings import require

if TYPE_CHECKING:
    from ddcore.data import Spec
    from ddcore.run import Run

LABELS = ("hard", "soft", "softmax")
LABEL_INITS = ("one_hot", "centred", "scaled")
CLIP_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Pixels(Factorization):
    """The data summary as free parameters, ``ipc`` examples per class.

    Attributes:
        ipc: examples per class: one number, one per class id, or ``clip:N`` (N, or all that a smaller class has).
        init: ``noise`` (standard normal in normalised space), ``glorot`` (uniform, as Glorot & Bengio draw the weights of a layer of as many
            rows as there are examples), or a coreset rule (its name or settings).
        labels: ``hard`` class ids; ``soft``: ``num_classes`` learned numbers per example, as they are; or ``softmax``: the same numbers are
            logits, so that labels stay distributions.
        label_init: what ``soft`` labels are at first: ``one_hot``; ``centred``: one-hot - 1 / C, C classes; or ``scaled``: that over
            sqrt(C / 10). ``softmax`` ones give their class .99 at first.
        transform: whether a linear map of all pixels, the identity at first, is learned with the examples (the group
            ``transform``); it is folded into what is stored.
        storage: ``float32`` or ``fp16`` normalised values, or ``uint8`` pixels (rounded when the run ends), over
            a span of their own where they leave [0, 1].
        clip: whether pixels are kept in [0, 1], after every step and at the start, as real images are: their bytes then need no span.
    """

    ipc: Ipc = field(default=10, hash=False)
    init: str | CoresetRule = "random"
    labels: str = "hard"
    storage: str = "float32"
    label_init: str = "one_hot"
    transform: bool = False
    clip: bool = False
    name: ClassVar[str] = "pixels"

    def __post_init__(self) -> None:
        for value, allowed, what in (
            (self.labels, LABELS, "labels"),
            (self.label_init, LABEL_INITS, "label_init"),
        ):
            if value not in allowed:
                raise UnknownNameError(what, value, allowed)
        check_storage(self.storage)
        check_ipc(self.ipc)
        if self.init not in NOISE:
            as_rule(self.init)
        require(not (self.clip and self.transform), "pixels behind a learned transform cannot be clipped: clip=False")

    def counts_for(self, available: Mapping[int, int]) -> dict[int, int]:
        return counts_within(self.ipc, available)

    def clipped(self) -> Pixels:
        return self if self.transform else replace(self, clip=True)

    def learning_rates(self) -> dict[str, float]:
        rates = {"images": 0.05}
        if self.labels != "hard":
            rates["labels"] = 0.01
        return rates | ({"transform": 1e-3} if self.transform else {})

    def max_bytes(self, spec: Spec, available: Mapping[int, int]) -> int:
        n = sum(self.counts_for(available).values())
        labels = 0 if self.labels == "hard" else packed_bytes((n, spec.num_classes), "float32")
        images = n * math.prod(spec.shape) if self._has_unit_span else packed_bytes((n, *spec.shape), self.storage)
        return images + ids_bytes(n, spec.num_classes) + labels

    @property
    def _has_unit_span(self) -> bool:
        return self.clip and self.storage == "uint8"

    def start(self, run: Run) -> Examples:
        counts = self.counts_for(run.real.counts)
        random = run.generator("init")
        if self.init == "noise":
            images = torch.randn(sum(counts.values()), *run.spec.shape, generator=random, dtype=run.dtype)
        elif self.init == "glorot":
            images = torch.empty(sum(counts.values()), *run.spec.shape, dtype=run.dtype)
            nn.init.xavier_uniform_(images.flatten(1), generator=random)
        else:
            chosen = run.real.select(as_rule(self.init), counts, random)
            images = torch.cat([chosen[c].to("cpu", run.dtype) for c in counts])
        owners = owners_of(counts)
        soft = None if self.labels == "hard" else self._first_labels(owners, run.spec.num_classes).to(run.dtype)
        examples = PixelExamples(
            images,
            owners,
            soft,
            run.spec,
            self.storage,
            softmax=self.labels == "softmax",
            transformed=self.transform,
            clip=self.clip,
        )
        examples.after_step(0)
        return examples

    def _first_labels(self, owners: Tensor, classes: int) -> Tensor:
        one_hot = F.one_hot(owners, classes).double()
        if self.labels == "softmax":
            return (0.99 * one_hot + 0.01 / classes).log()
        if self.label_init == "one_hot":
            return one_hot
        return (one_hot - 1 / classes) / (math.sqrt(classes / 10) if self.label_init == "scaled" else 1.0)

    def restore(self, stored: Mapping[str, Tensor], spec: Spec) -> PixelExamples:
        names = {"images", "classes"} | ({"labels"} if self.labels != "hard" else set())
        optional = {"span"} if self.storage == "uint8" else set()
        if not names <= set(stored) <= names | optional:
            raise SummaryFormatError(f"pixels store {sorted(names)}, found {sorted(stored)}")
        images, owners, order = stored_items(stored, "images", spec.shape, STORAGE[self.storage], spec.num_classes)
        soft, n = stored.get("labels"), len(owners)
        if soft is not None and (tuple(soft.shape) != (n, spec.num_classes) or soft.dtype != torch.float32):
            raise SummaryFormatError(f"labels must be {n} x {spec.num_classes} of float32, found {tuple(soft.shape)}")
        span, inputs = unpack_span(stored.get("span")), images.float()
        if self.storage == "uint8":
            inputs = spec.normalisation.apply(dequantise(images, span))
        labels = None if soft is None else soft[order]
        return PixelExamples(
            inputs, owners, labels, spec, self.storage, span, softmax=self.labels == "softmax", clip=self.clip
        )

    def decoder(self) -> dict[str, Any]:
        return {"labels": self.labels, "storage": self.storage}

    @classmethod
    def from_decoder(cls, settings: Mapping[str, Any]) -> Pixels:
        if set(settings) != {"labels", "storage"}:
            raise SummaryFormatError(f"pixels record labels and storage, found {sorted(settings)[:5]}")
        return cls(labels=settings["labels"], storage=settings["storage"])

    def quantize(self, stored: Mapping[str, Tensor], spec: Spec, to: str) -> tuple[Factorization, dict[str, Tensor]]:
        smaller, examples = replace(self, storage=to), self.restore(stored, spec)
        return smaller, examples.stored(to)


class PixelExamples(OwnedExamples):
    """Free parameters, sorted by class."""

    def __init__(
        self,
        images: Tensor,
        owners: Tensor,
        soft: Tensor | None,
        spec: Spec,
        storage: str,
        span: Span = UNIT,
        *,
        softmax: bool = False,
        transformed: bool = False,
        clip: bool = False,
    ) -> None:
        super().__init__(owners, spec.num_classes)
        self.images = nn.Parameter(images.clone())
        size = math.prod(spec.shape)
        self.transform = nn.Parameter(torch.eye(size, dtype=images.dtype)) if transformed else None
        self.soft_labels = None if soft is None else nn.Parameter(soft.clone())
        self._softmax = softmax
        self._spec = spec
        self._storage = storage
        self._span = span
        self._clip = clip

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        targets: Tensor = self.get_buffer("owners") if self.soft_labels is None else self.soft_labels
        if self._softmax:
            targets = targets.softmax(dim=1)
        if indices is None:
            return Batch(self._transformed(self.images), targets)
        where = to_device(indices, self.images.device)
        return Batch(self._transformed(self.images[where]), targets[where])

    def _transformed(self, images: Tensor) -> Tensor:
        return images if self.transform is None else (images.flatten(1) @ self.transform).view_as(images)

    def assign_labels(self, labels: Tensor) -> None:
        if self.soft_labels is None:
            super().assign_labels(labels)
            return
        with torch.no_grad():
            self.soft_labels.copy_(labels.clamp_min(1e-6).log() if self._softmax else labels)

    def after_step(self, step: int) -> None:
        normalisation = self._spec.normalisation
        if not self._clip or not normalisation.exact:
            return
        with torch.no_grad():
            pixels = normalisation.invert(self.images)
            inside = pixels.clamp(0, 1)
            # Pixels that are inside, up to rounding, keep all their digits.
            outside = (inside - pixels).abs() > CLIP_TOLERANCE
            self.images.copy_(torch.where(outside, normalisation.apply(inside, pixels.dtype), self.images))

    def groups(self) -> dict[str, list[nn.Parameter]]:
        groups = {"images": [self.images]}
        if self.soft_labels is not None:
            groups["labels"] = [self.soft_labels]
        if self.transform is not None:
            groups["transform"] = [self.transform]
        return groups

    def stored(self, storage: str | None = None) -> dict[str, Tensor]:
        storage = storage or self._storage
        images = self._transformed(self.images).detach().cpu()
        stored = {"images": images, "classes": self.packed_owners()}
        if storage == "uint8":
            if not self._spec.normalisation.exact:
                raise UnsupportedError(
                    "'zca-unit' forgets the norm of an example: store float32 or fp16 instead of uint8"
                )
            pixels = self._spec.normalisation.invert(images)
            span = UNIT if self._clip else fitting_span(pixels, self._span)
            stored["images"] = quantise(pixels, span)
            if span != UNIT:
                stored["span"] = pack_span(span)
        if self.soft_labels is not None:
            stored["labels"] = self.soft_labels.detach().cpu().float()
        stored["images"] = stored["images"].to(STORAGE[storage])
        return {name: tensor.contiguous().clone() for name, tensor in stored.items()}
