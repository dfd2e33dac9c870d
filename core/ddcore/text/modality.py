"""Sentences as a modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from torch import Tensor

from ddcore.data.exports import exports_of
from ddcore.parts import Architecture, Card, Decoded, Export, Factorization, Modality, Spec, TargetData
from ddcore.text import show
from ddcore.text.factorizations import EmbeddedSequences, ProjectedWords
from ddcore.text.loading import load_text
from ddcore.text.networks import BiLSTM, TextCNN, TinyTransformer
from ddcore.text.sources import is_dataset_of_sentences, is_table_of_sentences, is_text_source
from ddcore.text.spec import TextSpec


class Sentences(Modality):
    """Sentences, each with a class."""

    name: ClassVar[str] = "sentences"
    architectures: ClassVar[tuple[type[Architecture], ...]] = (TextCNN, BiLSTM, TinyTransformer)
    usual_network: ClassVar[Architecture] = TextCNN()
    factorizations: ClassVar[tuple[type[Factorization], ...]] = (ProjectedWords,)
    as_stored: ClassVar[type[Factorization]] = EmbeddedSequences
    sure: ClassVar[bool] = True

    @property
    def sources(self) -> tuple[str, ...]:
        return ("path/to/sentences.csv", "path/to/SMSSpamCollection")

    def recognises(self, source: object) -> bool:
        if isinstance(source, str | Path):
            return is_text_source(Path(source))
        if isinstance(source, pd.DataFrame):
            return is_table_of_sentences(source)
        return is_dataset_of_sentences(source)

    def loader(self) -> Callable[..., TargetData]:
        return load_text

    def read_spec(self, config: Mapping[str, Any], tensors: Callable[[], dict[str, Tensor]]) -> Spec:
        return TextSpec.restore(config, tensors())

    def selection(self, factorization: Factorization) -> Factorization:
        """Chosen sentences are stored as the numbers of their words."""
        words = factorization.as_kind(ProjectedWords)
        return factorization if words is None else words

    def as_text(self, decoded: Decoded, per_class: int) -> str:
        return show.as_text(decoded, per_class=per_class)

    def cards(self, decoded: Decoded, per_class: int) -> list[Card]:
        return show.cards(decoded, per_class=per_class)

    def forms(self) -> Mapping[str, Callable[[Decoded], Any] | Export]:
        return {"dataframe": show.dataframe_of, **exports_of(show.dataframe_of, lambda spec: show.LABEL)}
