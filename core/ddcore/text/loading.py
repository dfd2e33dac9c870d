"""``load_text``: from a table, a file or a dataset to a `TargetData`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddcore.data.class_names import in_order
from ddcore.data.frames import given_splits, rows_by_split, splits_of
from ddcore.data.hugging_face import class_column, class_names_in, is_hugging_face
from ddcore.errors import InputDataError, SettingsError
from ddcore.parts import Spec, Split, TargetData
from ddcore.settings import require_counts
from ddcore.text.embedding import Embedding
from ddcore.text.sources import frame_of
from ddcore.text.spec import TextSpec
from ddcore.text.tokens import SPECIAL, cut_by, numbered, vocabulary
from ddcore.text.vectors import learned_vectors, matrix_of, vectors_of

LENGTH = 30


def load_text(
    source: Any,
    *,
    embeddings: Any = None,
    tokenizer: Any = None,
    length: int | None = None,
    vocabulary_size: int | None = None,
    target: str | None = None,
    name: str | None = None,
    validation: float = 0.0,
    class_names: Sequence[str] | None = None,
    like: Spec | None = None,
    seed: int = 0,
) -> TargetData:
    """Load sentences with classes.

    The vocabulary is the words of the training sentences that have a vector. All others count as
    one unknown word.

    Args:
        source: a DataFrame, or a ``.csv`` or ``.parquet`` file, with a column ``text``, one of
            classes, and perhaps ``split`` with ``train``, ``test`` and ``validation``; a folder
            with ``train.csv`` and ``test.csv``; a file of lines of a label, a tab and a sentence;
            or a ``datasets.Dataset``, or a dictionary of some by split. Without splits a fifth of
            the sentences is the test split.
        embeddings: of words, and not learned further: a file, ``(words, matrix)``, a mapping, or a
            model of ``transformers`` with its ``tokenizer``. None: vectors of 50 numbers are
            learned on the training sentences first.
        tokenizer: one of ``tokenizers`` or ``transformers``. None: sentences are cut at spaces and
            punctuation, and letters are lowered.
        length: words of a sentence that are read. Default: 30.
        vocabulary_size: number of most frequent words. None: all.
        target: the column of classes. Default: the only ``ClassLabel`` of a ``datasets.Dataset``;
            ``label``, ``category``, ``class`` or ``target``.
        name: what reports call the data.
        validation: share of the training sentences that becomes the validation split, if there is
            none.
        class_names: the declared classes. Default: those of a ``ClassLabel``, else those of all
            sentences, sorted.
        like: facts of other such data, such as a summary's ``spec``. Words, vectors, length and
            classes are taken from there.
        seed: of splits and learned vectors.

    Raises:
        InputDataError: the sentences cannot be used as given: one is empty, say.
    """
    if like is not None and not isinstance(like, TextSpec):
        raise InputDataError(f"like= is the spec of sentences, these facts are of {like.modality}")
    if like is not None and (embeddings, length, vocabulary_size, class_names) != (None,) * 4:
        raise SettingsError("like= says words, vectors, length and classes already: leave the other settings out")
    if like is not None and (like.tokenizer == "own") != (tokenizer is not None):
        raise SettingsError(f"the words of like= come from tokenizer {like.tokenizer!r}: give the same, tokenizer=")
    target = target or (class_column(source) if is_hugging_face(source) else None)
    frame, found = frame_of(source, target)
    wanted = like.class_names if like is not None else class_names or class_names_in(source, target)
    names = _class_names(frame["label"], wanted)
    number_of = {label: i for i, label in enumerate(names)}
    targets = torch.tensor([number_of[label] for label in frame["label"]], dtype=torch.int64)
    split, drawn = splits_of(given_splits(frame), targets, validation, seed)
    sentences = cut_by(tokenizer)(frame["text"].tolist())
    none = next((i for i, words in enumerate(sentences) if not words), None)
    if none is not None:
        raise InputDataError(f"row {none} has no word ({frame['text'][none]!r}): drop it")
    training = np.flatnonzero(split == "train")
    length = (LENGTH if length is None else length) if like is None else like.shape[0]
    require_counts(length=length)
    if like is not None:
        words, embedding = like.words, like.embedding
    else:
        vectors = None if embeddings is None else vectors_of(embeddings, tokenizer)
        known = None if vectors is None else frozenset(vectors)
        own = vocabulary([sentences[i] for i in training], vocabulary_size, known)
        if not own:
            raise InputDataError("no word of the training sentences has a vector: do tokenizer and embeddings fit?")
        words = (*SPECIAL, *own)
        if vectors is None:
            rows = numbered([sentences[i] for i in training], words, length, torch.int32)
            matrix = learned_vectors(rows, targets[torch.from_numpy(training)], len(words), len(names), seed)
        else:
            matrix = matrix_of(own, vectors)
        embedding = Embedding.of_words(matrix)
    inputs = numbered(sentences, words, length, torch.int16 if len(words) <= 2**15 else torch.int32)
    spec = _spec(inputs, targets, training, names, words, embedding, tokenizer, like, class_names, drawn)
    parts = {part: Split(inputs[i], targets[i]) if len(i) else None for part, i in rows_by_split(split).items()}
    assert parts["train"] is not None
    return TargetData(name or found, spec, parts["train"], parts["test"], parts["validation"])


def _spec(
    inputs: Tensor,
    targets: Tensor,
    training: np.ndarray,
    names: tuple[str, ...],
    words: tuple[str, ...],
    embedding: Embedding,
    tokenizer: Any,
    like: TextSpec | None,
    declared: Sequence[str] | None,
    drawn: bool,
) -> TextSpec:
    chosen = torch.from_numpy(training)
    read = ["mean_length", *(["split"] if drawn else [])]
    if like is None:
        read += ["normalisation", "words", *(["classes"] if declared is None else [])]
    return TextSpec(
        shape=(inputs.shape[1], embedding.vectors.shape[1]),
        num_classes=len(names),
        classes=tuple(targets[chosen].unique().tolist()),
        class_names=names,
        normalisation=embedding,
        read_from_examples=tuple(read),
        words=words,
        mean_length=float((inputs[chosen] != 0).sum(dim=1).double().mean()),
        tokenizer="words" if tokenizer is None else "own",
    )


def _class_names(labels: Any, declared: Sequence[str] | None) -> tuple[str, ...]:
    found = set(labels)
    if declared is None:
        return in_order(found)
    strangers = sorted(found - set(declared))
    if strangers:
        raise InputDataError(f"label {strangers[0]!r} is not among the classes {', '.join(list(declared)[:10])}")
    return tuple(map(str, declared))
