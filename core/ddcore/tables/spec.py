"""What may be said of a table in public."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.labels.class_ids import ids_bytes
from ddcore.parts import Classification, Regression, Spec, Task
from ddcore.settings import require
from ddcore.tables.columns import LARGEST, MAX_COLUMNS, Column, Scaling, numbers_in, require_name


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
        require(not self.task.numeric or self.num_classes == 1, "a table predicts one number, no more")
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

    def require_same(self, other: Spec) -> None:
        super().require_same(other)
        assert isinstance(other, TableSpec)
        if self.columns != other.columns:
            differing = next(c.name for c in self.columns if c not in other.columns)
            raise InputDataError(f"the tables differ in column {differing!r}: load the data with like=summary.spec")
        if self.target != other.target:
            raise InputDataError(f"one table predicts {self.target!r}, the other {other.target!r}")
        if not (_close(self.target_mean, other.target_mean) and _close(scale_of(self), scale_of(other))):
            raise InputDataError("the numbers to predict are scaled differently: load the data with like=summary.spec")

    def example_bytes(self) -> int:
        return sum(ids_bytes(1, len(c.categories)) if c.categories else 4 for c in self.columns)

    def identity(self) -> tuple[object, ...]:
        return (*super().identity(), self.columns, self.target, self.task)

    def to_json(self) -> dict[str, Any]:
        task: dict[str, Any] = {"name": self.task.name}
        if self.task.numeric:
            task |= {"scale": scale_of(self), "mean": self.target_mean}
        columns = [{"name": c.name, "categories": list(c.categories)} for c in self.columns]
        return {**super().to_json(), "columns": columns, "target": self.target, "task": task}

    @classmethod
    def restore(cls, config: Mapping[str, Any]) -> TableSpec:
        """Return what `to_json` recorded. What is amiss raises, a type too: a stranger wrote it."""
        lists = [config[key] for key in ("shape", "classes", "class_names", "columns")]
        lists += [column["categories"] for column in config["columns"]]
        require(all(isinstance(value, list) for value in lists), "shape, classes, names and columns are lists")
        keys = {frozenset(column) for column in config["columns"]}
        require(keys <= {frozenset({"name", "categories"})}, "a column has a name and categories")
        task, mean = _task(config["task"])
        require_name(config["target"])
        return cls(
            shape=tuple(config["shape"]),
            num_classes=config["num_classes"],
            classes=tuple(config["classes"]),
            class_names=tuple(config["class_names"]),
            normalisation=Scaling.restore(config["normalisation"]),
            task=task,
            columns=tuple(Column(c["name"], tuple(c["categories"])) for c in config["columns"]),
            target=config["target"],
            target_mean=mean,
        )


def _task(config: Mapping[str, Any]) -> tuple[Task, float]:
    """Return a recorded task, and the mean of a number that is predicted."""
    if config == {"name": Classification.name}:
        return Classification(), 0.0
    known = set(config) == {"name", "scale", "mean"} and config["name"] == Regression.name
    require(known, f"unknown task {str(config)[:60]}")
    scale, mean = numbers_in([config["scale"], config["mean"]])
    require(1 / LARGEST <= scale <= LARGEST and abs(mean) <= LARGEST, "a target's scale and mean are extreme")
    return Regression(scale), mean


def scale_of(spec: TableSpec) -> float:
    """Return the unit of a number that is predicted, in its own units; 1 for classes."""
    return spec.task.scale if isinstance(spec.task, Regression) else 1.0


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
