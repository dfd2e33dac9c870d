"""Words as vectors that are not learned further."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.parts import Normalisation
from ddcore.settings import require

PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2
MAX_WORDS = 2**22
MAX_DIMENSION = 4096
WORDS_AT_ONCE = 2**24
"""Most distances between positions and words that are computed at a time."""


@dataclass(frozen=True, eq=False)
class Embedding(Normalisation):
    """Maps word numbers, ``n x length``, to vectors, ``n x length x dimension``.

    Number 0 is padding, a vector of zeros. Number 1 stands for all unknown words. Its vector is the
    mean of the others.

    Attributes:
        vectors: of all numbers, ``words x dimension``, float32.
    """

    vectors: Tensor
    name: ClassVar[str] = "embedding"

    def __post_init__(self) -> None:
        vectors = self.vectors
        require(vectors.ndim == 2 and vectors.dtype == torch.float32, "word vectors are words x dimension of float32")
        fits = FIRST_WORD < len(vectors) <= MAX_WORDS and 0 < vectors.shape[1] <= MAX_DIMENSION
        require(
            fits, f"{len(vectors)} words of {vectors.shape[1]} dimensions: allowed are {MAX_WORDS} of {MAX_DIMENSION}"
        )
        require(bool(torch.isfinite(vectors).all()), "word vectors hold NaN or infinity")
        require(not bool(vectors[PADDING].any()), "the vector of the padding is not zero")

    @classmethod
    def of_words(cls, vectors: Tensor) -> Embedding:
        """Return the embedding of words that are given their vectors, ``words x dimension``."""
        vectors = vectors.float()
        return cls(torch.cat([torch.zeros_like(vectors[:1]), vectors.mean(dim=0, keepdim=True), vectors]))

    @property
    def exact(self) -> bool:
        return False

    def apply(self, values: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        return self.on(values.device, dtype)[values.long()]

    def on(self, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the vectors on a device. Copies are made once and kept."""
        copies: dict[Any, Tensor] = self.__dict__.setdefault("_copies", {})
        if (device, dtype) not in copies:
            copies[device, dtype] = self.vectors.to(device, dtype)
        return copies[device, dtype]

    def _forward(self, values: Tensor) -> Tensor:
        return self.apply(values)

    def _inverse(self, inputs: Tensor) -> Tensor:
        """Return the number of the nearest word of each position.

        A zero vector is padding. The unknown word is only what has its very vector.
        """
        flat = inputs.flatten(0, -2)
        vectors = self.on(flat.device, flat.dtype)
        allowed = torch.cat([vectors[:UNKNOWN], vectors[FIRST_WORD:]])
        squares, parts = allowed.square().sum(dim=1), []
        for part in flat.split(max(1, WORDS_AT_ONCE // len(vectors))):
            nearest = (squares - 2 * part @ allowed.T).argmin(dim=1)
            nearest = torch.where(nearest >= UNKNOWN, nearest + 1, nearest)
            parts.append(nearest.masked_fill((part == vectors[UNKNOWN]).all(dim=1), UNKNOWN))
        return torch.cat(parts).view(inputs.shape[:-1])

    def tensors(self) -> dict[str, Tensor]:
        return {"vectors": self.vectors}

    def describe(self) -> dict[str, Any]:
        digest = hashlib.sha256(self.vectors.contiguous().numpy().tobytes()).hexdigest()
        return {"name": self.name, "words": len(self.vectors), "dimension": self.vectors.shape[1], "sha256": digest}

    @classmethod
    def restore(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Embedding:
        """Return the embedding that `describe` and `tensors` recorded."""
        require(set(tensors) == {"vectors"}, "an embedding has one tensor, its vectors")
        made = cls(tensors["vectors"])
        require(made.describe() == dict(config), "the word vectors are not those that were recorded")
        return made

    def same_as(self, other: Normalisation) -> bool:
        if not isinstance(other, Embedding) or other.vectors.shape != self.vectors.shape:
            return False
        return torch.allclose(self.vectors, other.vectors, rtol=1e-3, atol=1e-4)


def is_word(inputs: Tensor) -> Tensor:
    """Return which positions of embedded sequences are no padding, ``n x length``."""
    return (inputs != 0).any(dim=-1)
