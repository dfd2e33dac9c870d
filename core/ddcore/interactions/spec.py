"""What may be said of interactions in public."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.interactions.ranking import Ranking
from ddcore.parts import Identity, SparseRows, Spec
from ddcore.settings import require

MAX_NAME = 200


@dataclass(frozen=True)
class InteractionSpec(Spec):
    """Declared facts of interactions. A user is an example. All users are of class 0.

    Attributes:
        shape: ``(items,)``. A network has as many outputs.
        items: names of the items, in the order of the columns.
        mean_interactions: of a training user.
    """

    items: tuple[str, ...] = ()
    mean_interactions: float = 1.0
    modality: ClassVar[str] = "interactions"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.shape == (self.num_classes,), f"users' rows of shape {self.shape} need as many outputs")
        require(self.classes == (0,), "all users are of class 0")
        require(len(self.items) == self.num_classes, f"{self.num_classes} items need as many names")
        require(len(set(self.items)) == len(self.items), "two items have the same name")
        named = all(isinstance(n, str) and len(n) <= MAX_NAME and n.isprintable() for n in self.items)
        require(named, f"an item's name is printable text of at most {MAX_NAME} characters")
        fits = math.isfinite(self.mean_interactions) and 0 < self.mean_interactions <= self.num_classes
        require(fits, f"a user has {self.mean_interactions} interactions on average")

    @property
    def id_type(self) -> torch.dtype:
        """The type in which an item's number is stored."""
        return torch.int16 if self.num_classes <= 2**15 else torch.int32

    def name_of(self, class_id: int) -> str:
        return "users"

    def check_inputs(self, inputs: Tensor, title: str) -> None:
        rows: object = inputs
        if not isinstance(rows, SparseRows):
            raise InputDataError(f"{title} users must be sparse rows: load them by load_interactions")
        if bool((rows.sizes() == 0).any()):
            raise InputDataError(f"a {title} user has no interaction: leave such users out")

    def example_bytes(self) -> int:
        """Return the bytes of a user with the mean number of items, by their numbers."""
        return round(self.mean_interactions * self.id_type.itemsize)

    def targets_bytes(self, count: int) -> int:
        return 0

    def require_same(self, other: Spec) -> None:
        super().require_same(other)
        assert isinstance(other, InteractionSpec)
        if self.items != other.items:
            raise InputDataError("the items differ, or their order does: load the data with like=summary.spec")

    def identity(self) -> tuple[object, ...]:
        return (*super().identity(), self.items)

    def to_json(self) -> dict[str, Any]:
        assert isinstance(self.task, Ranking)
        own = {"items": list(self.items), "mean_interactions": self.mean_interactions, "at": list(self.task.at)}
        return {**super().to_json(), **own}

    @classmethod
    def restore(cls, config: Mapping[str, Any]) -> InteractionSpec:
        """Return what `to_json` recorded. What is amiss raises, a type too: a stranger wrote it."""
        lists = [config[key] for key in ("shape", "classes", "class_names", "items", "at")]
        require(all(isinstance(value, list) for value in lists), "shape, classes, names, items and at are lists")
        require(config["normalisation"] == Identity().describe(), "interactions are not normalised")
        require(config["class_names"] == [], "users have no classes with names")
        require(type(config["mean_interactions"]) in (int, float), "mean_interactions is a number")
        return cls(
            shape=tuple(config["shape"]),
            num_classes=config["num_classes"],
            classes=tuple(config["classes"]),
            task=Ranking(tuple(config["at"])),
            items=tuple(config["items"]),
            mean_interactions=float(config["mean_interactions"]),
        )
