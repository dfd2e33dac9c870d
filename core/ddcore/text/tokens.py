"""From sentences to words, and from words to numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ddcore.errors import InputDataError, MissingExtraError
from ddcore.text.embedding import FIRST_WORD, PADDING, UNKNOWN

SPECIAL = ("[padding]", "[unknown]")
Cut = Callable[[Sequence[str]], list[list[str]]]
"""Cuts sentences into words."""


def cut_by(tokenizer: Any) -> Cut:
    """Return the function that cuts sentences as a tokenizer does.

    Args:
        tokenizer: None: at spaces and punctuation, after letters were lowered; a ``Tokenizer`` of
            ``tokenizers``; or a tokenizer of ``transformers``.
    """
    if tokenizer is None:
        return _words
    if hasattr(tokenizer, "encode_batch"):
        return lambda sentences: [e.tokens for e in tokenizer.encode_batch(list(sentences), add_special_tokens=False)]
    if hasattr(tokenizer, "tokenize"):
        return lambda sentences: [tokenizer.tokenize(sentence) for sentence in sentences]
    raise InputDataError(
        f"{type(tokenizer).__name__} is no tokenizer: give one of the package tokenizers, or of transformers"
    )


def _words(sentences: Sequence[str]) -> list[list[str]]:
    try:
        from tokenizers import normalizers, pre_tokenizers
    except ImportError as error:
        raise MissingExtraError("cutting sentences into words", "tokenizers", "text") from error
    lower = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    cut = pre_tokenizers.BertPreTokenizer()
    return [[word for word, _ in cut.pre_tokenize_str(lower.normalize_str(sentence))] for sentence in sentences]


def vocabulary(sentences: Sequence[Sequence[str]], most: int | None, known: frozenset[str] | None) -> tuple[str, ...]:
    """Return the words of some sentences, the most frequent first, and of equal ones by letters.

    Args:
        sentences: cut into words.
        most: number of words. None: all.
        known: words that have a vector. None: all have.
    """
    counts = Counter(word for sentence in sentences for word in sentence if known is None or word in known)
    fit = [word for word in counts if word.isprintable() and len(word) <= 200 and word not in SPECIAL]
    return tuple(sorted(fit, key=lambda word: (-counts[word], word))[:most])


def numbered(sentences: Sequence[Sequence[str]], words: Sequence[str], length: int, dtype: torch.dtype) -> Tensor:
    """Return the numbers of the first ``length`` words of each sentence, ``n x length``.

    Shorter sentences end in padding.

    Args:
        sentences: cut into words.
        words: by number. The first two are the special ones.
        length: of a row.
        dtype: of the numbers.
    """
    number_of = {word: i for i, word in enumerate(words) if i >= FIRST_WORD}
    rows = torch.full((len(sentences), length), PADDING, dtype=dtype)
    for row, sentence in zip(rows, sentences, strict=True):
        found = [number_of.get(word, UNKNOWN) for word in sentence[:length]]
        row[: len(found)] = torch.tensor(found, dtype=dtype)
    return rows
