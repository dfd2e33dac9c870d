"""Text: sentences with a class, as sequences of embedded words."""

from ddcore.parts import add_modality
from ddcore.text.embedding import Embedding
from ddcore.text.factorizations import EmbeddedSequences, ProjectedWords
from ddcore.text.loading import load_text
from ddcore.text.modality import Sentences
from ddcore.text.networks import BiLSTM, TextCNN, TinyTransformer
from ddcore.text.pretrained import TransformersClassifier
from ddcore.text.spec import TextSpec

add_modality(Sentences())

__all__ = [
    "BiLSTM",
    "EmbeddedSequences",
    "Embedding",
    "ProjectedWords",
    "Sentences",
    "TextCNN",
    "TextSpec",
    "TinyTransformer",
    "TransformersClassifier",
    "load_text",
]
