"""Sequence classifiers of ``transformers`` as architectures."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from ddcore.errors import MissingExtraError, UnsupportedError
from ddcore.parts import Architecture
from ddcore.text.embedding import is_word


@dataclass(frozen=True, eq=False)
class TransformersClassifier(Architecture):
    """A sequence classifier of ``transformers``, which reads vectors through ``inputs_embeds``.

    Its own embedding of words is not used. Padding is told to it as an attention mask.

    Attributes:
        config: a configuration of ``transformers``. Every network draws all weights anew. The
            number of labels is the data's. Attention must be ``eager`` to be differentiated twice,
            which is set here.
    """

    config: Any
    name: ClassVar[str] = "transformers-classifier"
    modality: ClassVar[str | None] = "sentences"

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        try:
            from transformers import AutoModelForSequenceClassification
        except ImportError as error:
            raise MissingExtraError("a classifier of transformers", "transformers", "transformers") from error
        length, dimension = shape
        config = copy.deepcopy(self.config)
        config.num_labels = num_classes
        most = getattr(config, "max_position_embeddings", length)
        if length > most or dimension != getattr(config, "hidden_size", dimension):
            raise UnsupportedError(
                f"this model reads {most} vectors of {config.hidden_size}, the sentences are {length} x {dimension}: "
                "load them with another length=, or embeddings= of its dimension"
            )
        build: Any = AutoModelForSequenceClassification.from_config
        return _Classifier(build(config, attn_implementation="eager"))

    def describe(self) -> dict[str, Any]:
        """Record the class of the configuration and its settings."""
        settings = {k: v for k, v in self.config.to_diff_dict().items() if isinstance(v, str | int | float | bool)}
        return {"type": "TransformersClassifier", "config": type(self.config).__name__, "settings": settings}


class _Classifier(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        present = is_word(inputs.detach()).long()
        logits: Tensor = self.model(inputs_embeds=inputs, attention_mask=present).logits
        return logits
