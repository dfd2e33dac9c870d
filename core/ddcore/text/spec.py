"""What may be said of sentences in public."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.parts import Spec
from ddcore.settings import require
from ddcore.text.embedding import Embedding

MAX_WORD = 200
MAX_LENGTH = 2**14
TOKENIZERS = ("words", "own")


@dataclass(frozen=True)
class TextSpec(Spec):
    """Declared facts of sentences.

    Attributes:
        shape: ``(length, dimension)`` of an embedded sentence.
        words: by number. The first two stand for padding and for unknown words.
        mean_length: words of a training sentence.
        tokenizer: ``words``: ours, which cuts at spaces and punctuation and lowers letters;
            ``own``: one that the user gave.
        normalisation: the `Embedding`.
    """

    words: tuple[str, ...] = ()
    mean_length: float = 1.0
    tokenizer: str = "words"
    modality: ClassVar[str] = "sentences"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.shape) == 2 and self.shape[0] <= MAX_LENGTH, f"a sentence is length x dimension: {self.shape}")
        require(self.tokenizer in TOKENIZERS, f"tokenizer is one of {', '.join(TOKENIZERS)}")
        embedding = self.normalisation
        fits = isinstance(embedding, Embedding) and embedding.vectors.shape == (len(self.words), self.shape[1])
        require(fits, f"{len(self.words)} words need a vector of {self.shape[1]} numbers each")
        require(len(set(self.words)) == len(self.words), "two words are the same")
        length = self.mean_length
        require(math.isfinite(length) and 0 < length <= self.shape[0], f"sentences have {length} words on average")

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shape[:1]

    @property
    def embedding(self) -> Embedding:
        """The map from words to vectors."""
        assert isinstance(self.normalisation, Embedding)
        return self.normalisation

    @property
    def id_type(self) -> torch.dtype:
        """The type in which a word's number is stored."""
        return torch.int16 if len(self.words) <= 2**15 else torch.int32

    def check_inputs(self, inputs: Tensor, title: str) -> None:
        if inputs.dtype.is_floating_point or inputs.ndim != 2:
            raise InputDataError(f"{title} sentences must be word numbers n x length, not {tuple(inputs.shape)}")
        if len(inputs) and not 0 <= int(inputs.min()) <= int(inputs.max()) < len(self.words):
            raise InputDataError(f"a {title} sentence has a word number outside 0..{len(self.words) - 1}")

    def example_bytes(self) -> int:
        """Return the bytes of a sentence of mean length, by the numbers of its words."""
        return round(self.mean_length * self.id_type.itemsize)

    def require_same(self, other: Spec) -> None:
        super().require_same(other)
        assert isinstance(other, TextSpec)
        if self.words != other.words or self.tokenizer != other.tokenizer:
            raise InputDataError("the words differ, or their order does: load the data with like=summary.spec")

    def identity(self) -> tuple[object, ...]:
        return (*super().identity(), self.words, self.tokenizer)

    def to_json(self) -> dict[str, Any]:
        own = {"words": list(self.words), "mean_length": self.mean_length, "tokenizer": self.tokenizer}
        return {**super().to_json(), **own}

    @classmethod
    def restore(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> TextSpec:
        """Return what `to_json` recorded. What is amiss raises, a type too: a stranger wrote it."""
        lists = [config[key] for key in ("shape", "classes", "class_names", "words")]
        require(all(isinstance(value, list) for value in lists), "shape, classes, names and words are lists")
        fit = all(
            isinstance(word, str) and 0 < len(word) <= MAX_WORD and word.isprintable() for word in config["words"]
        )
        require(fit, f"a word is printable text of at most {MAX_WORD} characters")
        require(type(config["mean_length"]) in (int, float), "mean_length is a number")
        return cls(
            shape=tuple(config["shape"]),
            num_classes=config["num_classes"],
            classes=tuple(config["classes"]),
            class_names=tuple(config["class_names"]),
            normalisation=Embedding.restore(config["normalisation"], tensors),
            words=tuple(config["words"]),
            mean_length=float(config["mean_length"]),
            tokenizer=config["tokenizer"],
        )
