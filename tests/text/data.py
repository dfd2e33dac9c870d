"""Sentences of three kinds, made of words that tell the kind and words that do not."""

from __future__ import annotations

import numpy as np
import pandas as pd

import ddcore as dd

TOPICS = {
    "animals": ["cat", "dog", "horse", "cow", "sheep", "goat", "mouse", "bird"],
    "food": ["bread", "cheese", "apple", "rice", "soup", "cake", "butter", "plum"],
    "travel": ["train", "road", "ticket", "hotel", "map", "plane", "harbour", "bus"],
}
OTHER = ["the", "a", "of", "and", "this", "one", "some", "we", "saw", "there", "was", "it", "very", "old", "new"]


def sentences(per_class: int = 60, seed: int = 0) -> pd.DataFrame:
    """Return sentences of 4 to 9 words, of which one or two tell the kind."""
    random = np.random.default_rng(seed)
    rows = []
    for label, words in TOPICS.items():
        for _ in range(per_class):
            chosen = [str(random.choice(OTHER)) for _ in range(random.integers(3, 8))]
            for word in random.choice(words, random.integers(1, 3)):
                chosen.insert(int(random.integers(0, len(chosen) + 1)), str(word))
            rows.append((" ".join(chosen).capitalize() + ".", label))
    return pd.DataFrame(rows, columns=["text", "label"])


def vectors(dimension: int = 8, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Return a vector for each word. Those of a topic are near each other."""
    random = np.random.default_rng(seed)
    words, found = [], []
    for place, topic in enumerate((*TOPICS.values(), OTHER, ["."])):
        centre = np.zeros(dimension)
        centre[place] = 1.0
        words += topic
        found += [centre + 0.4 * random.standard_normal(dimension) for _ in topic]
    return words, np.array(found, dtype=np.float32)


def topics(seed: int = 0) -> dd.TargetData:
    return dd.load_data(sentences(seed=seed), embeddings=vectors(), length=10, validation=0.2, name="topics")
