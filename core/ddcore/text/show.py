"""Sentences as people read them."""

from __future__ import annotations

import pandas as pd
from torch import Tensor

from ddcore.data.frames import answers_of
from ddcore.parts import Card, Decoded
from ddcore.text.embedding import PADDING
from ddcore.text.spec import TextSpec

LABEL = "label"
LABELS_SHOWN = 3
FAR = 0.05


def dataframe_of(decoded: Decoded) -> pd.DataFrame:
    """Return columns ``text``, the nearest words of each sentence, and ``label``, its class.

    A label that is a distribution has a column ``label=class`` for each class beside it.
    """
    spec = decoded.spec
    assert isinstance(spec, TextSpec)
    numbers = spec.embedding.invert(decoded.inputs)
    texts = [" ".join(spec.words[n] for n in row if n != PADDING) for row in numbers.tolist()]
    return pd.DataFrame({"text": texts, **answers_of(LABEL, spec, decoded.targets)})


def as_text(decoded: Decoded, *, per_class: int = 5) -> str:
    """Return sentences of nearest words, at most ``per_class`` of each class.

    A number behind a word is the distance of its vector to the word, where it is not the word.
    """
    return "\n".join(f"{label}: {text}" for lines in _read(decoded, per_class).values() for label, text in lines)


def cards(decoded: Decoded, *, per_class: int = 10) -> list[Card]:
    """Return a card per class with its sentences, as `as_text` writes them.

    A label that is a distribution stands before its sentence.
    """
    found = []
    for class_id, lines in _read(decoded, per_class).items():
        name = decoded.spec.name_of(class_id)
        found.append(Card(name, lines=tuple(text if label == name else f"{label}: {text}" for label, text in lines)))
    return found


def _read(decoded: Decoded, per_class: int) -> dict[int, list[tuple[str, str]]]:
    """Return, per class id, labels and sentences of its first examples."""
    spec = decoded.spec
    assert isinstance(spec, TextSpec)
    numbers = spec.embedding.invert(decoded.inputs)
    distances = (decoded.inputs - spec.embedding.apply(numbers)).norm(dim=-1)
    return {
        class_id: [(_label(spec, decoded.targets[i]), _sentence(spec, numbers[i], distances[i])) for i in indices]
        for class_id, indices in decoded.first_of_classes(per_class).items()
    }


def _label(spec: TextSpec, target: Tensor) -> str:
    if target.ndim == 0:
        return spec.name_of(int(target))
    weights, order = target.sort(descending=True)
    shown = zip(order.tolist()[:LABELS_SHOWN], weights.tolist(), strict=False)
    return ", ".join(f"{spec.name_of(c)} {weight:.2f}" for c, weight in shown)


def _sentence(spec: TextSpec, numbers: Tensor, distances: Tensor) -> str:
    words = []
    for number, distance in zip(numbers.tolist(), distances.tolist(), strict=True):
        if number != PADDING:
            words.append(spec.words[number] if distance < FAR else f"{spec.words[number]}~{distance:.1f}")
    return " ".join(words)
