"""`Spec`: what may be said of a target dataset in public. No example is in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.parts.normalisation import Identity, Normalisation
from ddcore.parts.task import Classification, Task
from ddcore.settings import require

MAX_CLASSES = 1_000_000


@dataclass(frozen=True)
class Spec:
    """Declared facts of a target dataset. Each modality has a subclass with more of them.

    Attributes:
        shape: of one example.
        num_classes: number of a network's outputs. Class ids are ``0 .. num_classes - 1``.
        classes: ids that the data has. A client or a task may have only some.
        class_names: one per id, or empty.
        normalisation: the map from what the data hold to what networks see.
        task: what a network learns, and how it is scored.
        read_from_examples: names of the facts, such as ``classes`` or ``normalisation``, that
            were read from the training examples instead of declared. A private run must not use
            them.
    """

    shape: tuple[int, ...]
    num_classes: int
    classes: tuple[int, ...]
    class_names: tuple[str, ...] = ()
    normalisation: Normalisation = field(default_factory=Identity)
    task: Task = field(default_factory=Classification)
    read_from_examples: tuple[str, ...] = field(default=(), compare=False)
    modality: ClassVar[str] = "data"
    connected: ClassVar[bool] = False
    """Whether what a network says of one example depends on others, as on a graph's nodes."""

    def __post_init__(self) -> None:
        require(len(self.shape) > 0 and all(s > 0 for s in self.shape), f"shape {self.shape} has a side below 1")
        require(0 < self.num_classes <= MAX_CLASSES, f"num_classes is {self.num_classes}: allowed 1 to {MAX_CLASSES}")
        require(
            tuple(sorted(set(self.classes))) == self.classes and all(0 <= c < self.num_classes for c in self.classes),
            f"classes must be sorted, distinct ids from 0 to {self.num_classes - 1}",
        )
        require(
            len(self.class_names) in (0, self.num_classes),
            f"{len(self.class_names)} class names for {self.num_classes} classes: give one each, or none",
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example as it is given, before the normalisation."""
        return self.shape

    def name_of(self, class_id: int) -> str:
        """Return the name of a class, or its id as text."""
        return self.class_names[class_id] if self.class_names else str(class_id)

    def check_inputs(self, inputs: Tensor, title: str) -> None:
        """Raise `InputDataError` unless ``inputs`` can be examples of such data.

        Args:
            inputs: the examples.
            title: name of their split, for the message.
        """

    def within_range(self, values: Tensor) -> Tensor:
        """Return values of synthetic examples as such data may hold them: pixels are clipped."""
        return values

    def example_bytes(self) -> int:
        """Return the bytes of one real example without its target: 4 for each number."""
        return 4 * math.prod(self.shape)

    def targets_bytes(self, count: int) -> int:
        """Return the bytes of the targets of ``count`` real examples.

        They are 4 for a number; for a class id 1, or 4 from 257 classes on.
        """
        if self.task.numeric:
            return 4 * count * self.num_classes
        return count * (1 if self.num_classes <= 256 else 4)

    def mirrored(self, inputs: Tensor) -> Tensor | None:
        """Return the examples mirrored, or None where a mirror may change their class."""
        return None

    def require_same(self, other: Spec) -> None:
        """Raise `InputDataError` unless inputs and targets of ``other`` data mean what ours do.

        Shapes, classes and normalisations are compared elsewhere.
        """
        if (other.modality, other.task.name) != (self.modality, self.task.name):
            raise InputDataError(
                f"{self.modality} with {self.task.name} and {other.modality} with {other.task.name} do not go together"
            )

    def identity(self) -> tuple[object, ...]:
        """Return the facts that tell this data from other data, without the normalisation."""
        return (self.shape, self.num_classes)

    def united(self, specs: Sequence[Spec]) -> Spec:
        """Return the facts of the union of several data sets.

        Args:
            specs: theirs. All their classes are in the union; the other facts are this one's.
        """
        return replace(self, classes=tuple(sorted({c for spec in specs for c in spec.classes})))

    def to_json(self) -> dict[str, Any]:
        """Return what a summary records of these facts. The modality's `read_spec` reads it."""
        return {
            "shape": list(self.shape),
            "num_classes": self.num_classes,
            "classes": list(self.classes),
            "class_names": list(self.class_names),
            "normalisation": self.normalisation.describe(),
        }
