"""Tables as a modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from torch import Tensor

from ddcore.data.exports import exports_of
from ddcore.data.frames import READERS
from ddcore.data.hugging_face import has_column, is_hugging_face
from ddcore.networks import MLP
from ddcore.parts import Architecture, Card, Decoded, Export, Factorization, Modality, Spec, TargetData
from ddcore.tables import show
from ddcore.tables.loading import load_table
from ddcore.tables.rows import Rows
from ddcore.tables.sources import NAMED, is_bunch
from ddcore.tables.spec import TableSpec


class Tables(Modality):
    """Rows of d inputs, ``n x d``. Each row has a class or a number."""

    name: ClassVar[str] = "tables"
    architectures: ClassVar[tuple[type[Architecture], ...]] = ()
    usual_network: ClassVar[Architecture] = MLP()
    factorizations: ClassVar[tuple[type[Factorization], ...]] = ()
    as_stored: ClassVar[type[Factorization]] = Rows

    @property
    def sources(self) -> tuple[str, ...]:
        return (*NAMED, "path/to/file.csv", "path/to/file.parquet")

    def recognises(self, source: object) -> bool:
        if isinstance(source, str | Path):
            return str(source) in NAMED or Path(source).suffix in READERS
        if isinstance(source, tuple) and len(source) in (2, 4):
            return getattr(source[0], "ndim", 0) == 2
        if is_hugging_face(source):
            return not has_column(source, ("Image",))
        return isinstance(source, pd.DataFrame) or is_bunch(source)

    def loader(self) -> Callable[..., TargetData]:
        return load_table

    def read_spec(self, config: Mapping[str, Any], tensors: Callable[[], dict[str, Tensor]]) -> Spec:
        return TableSpec.restore(config)

    def as_text(self, decoded: Decoded, per_class: int) -> str:
        return show.as_text(decoded, per_class=per_class)

    def cards(self, decoded: Decoded, per_class: int) -> list[Card]:
        return show.cards(decoded, per_class=per_class)

    def forms(self) -> Mapping[str, Callable[[Decoded], Any] | Export]:
        return {"dataframe": show.dataframe_of, **exports_of(show.dataframe_of, _class_column)}


def _class_column(spec: Spec) -> str | None:
    assert isinstance(spec, TableSpec)
    return None if spec.task.numeric else spec.target
