"""Where the vectors of words come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.errors import InputDataError
from ddcore.ground.randomness import default_generator_seeded, derive_seed, generator
from ddcore.text.embedding import FIRST_WORD, PADDING

DIMENSION = 50
EPOCHS = 20
BATCH = 64


def vectors_of(embeddings: Any, tokenizer: Any) -> Mapping[str, np.ndarray]:
    """Return the vector of each word.

    Args:
        embeddings: the path of an ``.npz`` with ``words`` and ``vectors``, or of a text file as
            GloVe's, a word and its numbers in each line; a mapping from words to vectors; a pair
            of words and a matrix; or a model of ``transformers``, with its tokenizer.
        tokenizer: the user's, or None.
    """
    if isinstance(embeddings, str | Path):
        return _read(Path(embeddings))
    if isinstance(embeddings, Mapping):
        return {str(word): np.asarray(vector) for word, vector in embeddings.items()}
    if isinstance(embeddings, tuple) and len(embeddings) == 2:
        words, matrix = embeddings
        matrix = matrix.detach().cpu().numpy() if isinstance(matrix, Tensor) else np.asarray(matrix)
        return _paired(list(map(str, words)), matrix)
    if hasattr(embeddings, "get_input_embeddings"):
        if not hasattr(tokenizer, "get_vocab"):
            raise InputDataError("the embedding of a model needs the model's tokenizer: tokenizer=")
        matrix = embeddings.get_input_embeddings().weight.detach().cpu().float().numpy()
        return {word: matrix[i] for word, i in tokenizer.get_vocab().items() if i < len(matrix)}
    raise InputDataError(
        f"{type(embeddings).__name__} is no embedding: give a file, (words, matrix), a mapping, or a model of transformers"
    )


def _read(path: Path) -> Mapping[str, np.ndarray]:
    if not path.is_file():
        raise InputDataError(f"{path} is not there: give the path of word vectors")
    try:
        if path.suffix == ".npz":
            with np.load(path) as held:
                return _paired([str(word) for word in held["words"]], held["vectors"])
        lines = (line.rstrip().split(" ") for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
        return {parts[0]: np.array(parts[1:], dtype=np.float32) for parts in lines}
    except (OSError, ValueError, KeyError, UnicodeError) as error:
        raise InputDataError(f"{path} cannot be read as word vectors: {error}") from error


def _paired(words: Sequence[str], matrix: np.ndarray) -> Mapping[str, np.ndarray]:
    if matrix.ndim != 2 or len(words) != len(matrix):
        raise InputDataError(f"{len(words)} words need a matrix words x dimension, not of shape {matrix.shape}")
    return dict(zip(words, matrix, strict=True))


def matrix_of(words: Sequence[str], vectors: Mapping[str, np.ndarray]) -> Tensor:
    """Return the vectors of some words, ``words x dimension``."""
    found = [vectors[word] for word in words]
    sizes = {vector.shape for vector in found}
    if len(sizes) != 1 or len(next(iter(sizes))) != 1:
        raise InputDataError(f"word vectors differ in their shapes: {sorted(map(str, sizes))[:3]}")
    matrix = torch.from_numpy(np.stack(found).astype(np.float32))
    if not bool(torch.isfinite(matrix).all()):
        raise InputDataError("word vectors hold NaN or infinity")
    return matrix


def learned_vectors(numbers: Tensor, targets: Tensor, words: int, classes: int, seed: int) -> Tensor:
    """Return word vectors that are learned on the task, ``words x dimension``.

    A linear classifier of the mean of a sentence's vectors is trained with them, by Adam at .01.

    Args:
        numbers: of the training sentences' words, ``n x length``.
        targets: their class ids.
        words: number of all words, the two special ones included.
        classes: number of classes.
        seed: of weights and order.
    """
    with default_generator_seeded(derive_seed(seed, "word-vectors")):
        vectors, head = nn.Embedding(words, DIMENSION, padding_idx=PADDING), nn.Linear(DIMENSION, classes)
    optimiser = torch.optim.Adam([*vectors.parameters(), *head.parameters()], lr=0.01)
    order = generator(seed, "word-vectors-order")
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(numbers), generator=order).split(BATCH):
            rows = numbers[chosen].long()
            mean = vectors(rows).sum(dim=1) / (rows != PADDING).sum(dim=1, keepdim=True).clamp_min(1)
            optimiser.zero_grad()
            F.cross_entropy(head(mean), targets[chosen]).backward()
            optimiser.step()
    return vectors.weight.detach()[FIRST_WORD:].clone()
