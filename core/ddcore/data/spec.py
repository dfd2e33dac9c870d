"""What may be said of a target dataset in public: shapes, classes, normalisation. No example is in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ddcore.data.normalisation import Identity, Normalisation
from ddcore.settings import require

MAX_CLASSES = 1_000_000


@dataclass(frozen=True)
class Spec:
    """Declared facts of a target dataset.

    Attributes:
        shape: of one example; for images ``(channels, height, width)``.
        num_classes: size of the label space, so of a network's output. Class ids are ``0 .. num_classes - 1``.
        classes: ids that the data has; a client or a task may have only some.
        class_names: one per id, or empty.
        mirror: whether an image keeps its class when flipped left to right (not so for digits).
        normalisation: from pixels in [0, 1] to what networks see, and back.
        read_from_examples: which of ``classes`` and ``normalisation`` were not declared but read from the training examples:
            a private run must not use those.
    """

    shape: tuple[int, ...]
    num_classes: int
    classes: tuple[int, ...]
    class_names: tuple[str, ...] = ()
    mirror: bool = True
    normalisation: Normalisation = field(default_factory=Identity)
    read_from_examples: tuple[str, ...] = field(default=(), compare=False)

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

    def name_of(self, class_id: int) -> str:
        """Return the name of a class, or its id as text."""
        return self.class_names[class_id] if self.class_names else str(class_id)
