"""What is stored of synthetic sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.errors import SummaryFormatError
from ddcore.factorization import AsStored, StoredExamples
from ddcore.factorization.owned import stored_owners
from ddcore.ground.devices import to_device
from ddcore.parts import Batch, Factorization, Spec
from ddcore.settings import require
from ddcore.text.embedding import is_word
from ddcore.text.spec import TextSpec


@dataclass(frozen=True)
class EmbeddedSequences(AsStored):
    """Sequences of vectors as free parameters, ``ipc`` per class. `AsStored` explains the settings.

    Attributes:
        masked: whether positions that are padding at first stay padding.

    Source: Sucholutsky & Schonlau 2021 (arXiv:1910.02551); survey, section 3.
    """

    masked: bool = False
    name: ClassVar[str] = "embedded_sequences"
    modality: ClassVar[str | None] = "sentences"
    items: ClassVar[str] = "sequences"

    def examples(self, inputs: Tensor, owners: Tensor, labels: Tensor | None, spec: Spec) -> StoredExamples:
        return (
            MaskedExamples(self, inputs, owners, labels, spec)
            if self.masked
            else super().examples(inputs, owners, labels, spec)
        )

    def quantize(self, stored: Mapping[str, Tensor], spec: Spec, to: str) -> tuple[Factorization, dict[str, Tensor]]:
        """Return the settings and tensors that store the same in fewer bytes.

        ``words`` stores the nearest word of every vector. Labels stay. That is what a human can
        read, and it loses most of what was learned: `ProjectedWords` avoids it.
        """
        if to != "words":
            return super().quantize(stored, spec, to)
        assert isinstance(spec, TextSpec)
        words = spec.embedding.invert(stored[self.items].float()).to(spec.id_type)
        rest = {name: tensor for name, tensor in stored.items() if name != self.items}
        return ProjectedWords(labels=self.labels), {ProjectedWords.items: words, **rest}


class MaskedExamples(StoredExamples):
    """Sequences whose padding stays padding."""

    def __init__(
        self, settings: EmbeddedSequences, inputs: Tensor, owners: Tensor, labels: Tensor | None, spec: Spec
    ) -> None:
        super().__init__(settings, inputs, owners, labels, spec)
        self.register_buffer("present", is_word(inputs)[:, :, None].to(inputs.dtype))

    def after_step(self, step: int) -> None:
        with torch.no_grad():
            self.values.mul_(self.get_buffer("present"))


@dataclass(frozen=True)
class ProjectedWords(AsStored):
    r"""Sequences of real words, ``ipc`` per class, found by moving vectors.

    Every position has a free vector v. Networks see the nearest word :math:`e(v)`; its gradient
    goes to v as it is (straight through). So what is optimised is always what words can say.
    Stored are the numbers of the words. `AsStored` explains the settings.

    Attributes:
        pull: share of the way to their words that vectors go after every step, so that they do not
            drift away from all of them.

    Source: the survey, section 3, names the loss by rounding afterwards. Straight-through
    estimation: Bengio et al. 2013 (arXiv:1308.3432).
    """

    pull: float = 0.0
    name: ClassVar[str] = "projected_words"
    modality: ClassVar[str | None] = "sentences"
    items: ClassVar[str] = "words"
    storages: ClassVar[tuple[str, ...]] = ("float32",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.pull <= 1, f"pull is a share, in [0, 1], not {self.pull}")
        require(not self.transform, "words have no linear map: transform=False")

    def item_bytes(self, count: int, spec: Spec) -> int:
        assert isinstance(spec, TextSpec)
        return count * spec.shape[0] * spec.id_type.itemsize

    def examples(self, inputs: Tensor, owners: Tensor, labels: Tensor | None, spec: Spec) -> StoredExamples:
        return WordExamples(self, inputs, owners, labels, spec)

    def restore(self, stored: Mapping[str, Tensor], spec: Spec) -> StoredExamples:
        assert isinstance(spec, TextSpec)
        names = {self.items, "classes"} | ({"labels"} if self.stores_labels(spec) else set())
        if set(stored) != names:
            raise SummaryFormatError(f"{self.name} store {sorted(names)}, found {sorted(stored)[:5]}")
        words = stored[self.items]
        if words.ndim != 2 or not len(words) or words.shape[1:] != spec.input_shape or words.dtype != spec.id_type:
            raise SummaryFormatError(f"words must be n x {spec.shape[0]} of {spec.id_type}, found {tuple(words.shape)}")
        numbers = words.long()
        if int(numbers.min()) < 0 or int(numbers.max()) >= len(spec.words):
            raise SummaryFormatError(f"a word's number lies outside 0..{len(spec.words) - 1}")
        owners, order = stored_owners(stored, len(words), spec.num_classes)
        labels = self.read_labels(stored, len(words), spec)
        embedded = spec.embedding.apply(numbers[order])
        return self.examples(embedded, owners, None if labels is None else labels[order], spec)


class WordExamples(StoredExamples):
    """Vectors of which networks see the nearest words.

    They are looked for once in every step: vectors do not move between two decodings of a step.
    """

    _found: tuple[tuple[int, torch.device], Tensor] | None = None

    def numbers(self) -> Tensor:
        """Return the numbers of the nearest words, ``n x length``."""
        assert isinstance(self._spec, TextSpec)
        state = (self.values._version, self.values.device)
        if self._found is None or self._found[0] != state:
            self._found = (state, self._spec.embedding.invert(self.values.detach()))
        return self._found[1]

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        batch = super().decode(indices, generator)
        assert isinstance(self._spec, TextSpec)
        numbers = self.numbers() if indices is None else self.numbers()[to_device(indices, self.values.device)]
        words = self._spec.embedding.apply(numbers, self.values.dtype)
        # In this order the sum is exactly the words, zeros of padding included.
        return Batch(words + (batch.inputs - batch.inputs.detach()), batch.targets)

    def after_step(self, step: int) -> None:
        settings = self._settings
        assert isinstance(settings, ProjectedWords)
        assert isinstance(self._spec, TextSpec)
        if settings.pull:
            with torch.no_grad():
                words = self._spec.embedding.apply(self.numbers(), self.values.dtype)
                self.values.lerp_(words, settings.pull)

    def packed(self, inputs: Tensor, storage: str) -> dict[str, Tensor]:
        assert isinstance(self._spec, TextSpec)
        return {self._settings.items: self._spec.embedding.invert(inputs).to(self._spec.id_type)}
