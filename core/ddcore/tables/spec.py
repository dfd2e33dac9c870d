"""What may be said of a table in public."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.factorization.labels import ids_bytes
from ddcore.parts import Classification, Regression, Spec
from ddcore.settings import require
from ddcore.tables.columns import MAX_COLUMNS, Column, Scaling


@dataclass(frozen=True)
class TableSpec(Spec):
    """Declared facts of a table.

    Attributes:
        shape: ``(d,)``, the number of inputs.
        columns: those that become inputs, in order.
        target: name of the column that is predicted.
        target_mean: mean of that column, if it holds numbers. Their standard deviation is the
            task's ``scale``.
    """

    columns: tuple[Column, ...] = ()
    target: str = "target"
    target_mean: float = 0.0
    modality: ClassVar[str] = "tables"

    def __post_init__(self) -> None:
        super().__post_init__()
        width = sum(column.width for column in self.columns)
        require(0 < len(self.columns) <= MAX_COLUMNS, f"a table has 1 to {MAX_COLUMNS} columns of inputs")
        require(self.shape == (width,), f"columns of {width} inputs do not make rows of shape {self.shape}")
        names = [column.name for column in self.columns]
        require(len({*names, self.target}) == len(names) + 1, "two columns have the same name")
        require(
            isinstance(self.normalisation, Scaling) and len(self.normalisation.mean) == width,
            f"a table is normalised by a Scaling of its {width} inputs",
        )

    def check_inputs(self, inputs: Tensor, title: str) -> None:
        if not inputs.dtype.is_floating_point or inputs.ndim != 2:
            raise InputDataError(f"{title} rows must be floats n x d, not {tuple(inputs.shape)} of {inputs.dtype}")
        if not bool(torch.isfinite(inputs).all()):
            raise InputDataError(f"{title} rows hold NaN or infinity: clean the data first")

    def example_bytes(self) -> int:
        return sum(ids_bytes(1, len(c.categories)) if c.categories else 4 for c in self.columns)

    def identity(self) -> tuple[object, ...]:
        return (*super().identity(), self.columns, self.target, self.task)

    def to_json(self) -> dict[str, Any]:
        task: dict[str, Any] = {"name": self.task.name}
        if isinstance(self.task, Regression):
            task |= {"scale": self.task.scale, "mean": self.target_mean}
        columns = [{"name": c.name, "categories": list(c.categories)} for c in self.columns]
        return {**super().to_json(), "columns": columns, "target": self.target, "task": task}

    @classmethod
    def restore(cls, config: Mapping[str, Any]) -> TableSpec:
        """Return the spec that `to_json` recorded. Anything amiss in it is an error."""
        columns = tuple(Column(_text(c["name"]), tuple(map(_text, c["categories"]))) for c in config["columns"])
        task = config["task"]
        numeric = task["name"] == Regression.name
        require(numeric or task["name"] == Classification.name, f"unknown task {str(task['name'])[:40]!r}")
        scale, mean = (float(task["scale"]), float(task["mean"])) if numeric else (1.0, 0.0)
        require(0 < scale < float("inf") and abs(mean) < float("inf"), "a target's scale and mean must be finite")
        return cls(
            shape=tuple(config["shape"]),
            num_classes=config["num_classes"],
            classes=tuple(config["classes"]),
            class_names=tuple(config["class_names"]),
            normalisation=Scaling.restore(config["normalisation"]),
            task=Regression(scale) if numeric else Classification(),
            columns=columns,
            target=_text(config["target"]),
            target_mean=mean,
        )


def _text(value: object) -> str:
    require(isinstance(value, str) and len(value) <= 200, "names of columns are texts of at most 200 characters")
    return str(value)
