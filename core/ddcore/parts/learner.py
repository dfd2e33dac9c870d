"""What a learner is: it learns from examples as a network does, and is none of ours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from torch import Tensor

from ddcore.parts.batch import Batch
from ddcore.parts.spec import Spec
from ddcore.settings import settings_text

Predictor = Callable[[Tensor], Tensor]
"""Takes normalised inputs, ``n x ...``. Returns outputs as a network's, ``n x outputs``."""

Validate = Callable[[Predictor], Mapping[str, float]]
"""Returns the scores of a predictor on validation data, by name."""


class Learner(ABC):
    """Settings of a closed form, an estimator, or whatever else learns from examples.

    Attributes:
        name: by which it is chosen.
        modality: the only one whose examples it takes. None: it takes any.
        random: whether two runs differ. If not, one is enough.
    """

    name: ClassVar[str]
    modality: ClassVar[str | None] = None
    random: ClassVar[bool] = True

    @property
    def label(self) -> str:
        """Its name in reports. Settings that differ from their defaults stand in brackets."""
        return settings_text(self.name, self)

    @abstractmethod
    def fit(self, examples: Batch, spec: Spec, seed: int, validate: Validate | None) -> Predictor:
        """Learn from examples, and return what predicts of others.

        Args:
            examples: normalised.
            spec: facts of the data.
            seed: of its random numbers.
            validate: scores on validation data, by which it may choose its settings. None: there
                are no such data.
        """


LEARNERS: dict[str, type[Learner]] = {}
"""Learners by name. A modality adds its own."""
