"""Rows as their users know them: a ``DataFrame``, or text."""

from __future__ import annotations

import pandas as pd
from torch import Tensor

from ddcore.data.frames import answers_of
from ddcore.parts import Card, Decoded
from ddcore.tables.columns import places_of
from ddcore.tables.spec import TableSpec, scale_of

COLUMNS_SHOWN = 8


def dataframe_of(decoded: Decoded) -> pd.DataFrame:
    """Return examples in the columns and units of the table.

    A category is the one whose input is largest. The target is the name of the likeliest class, or
    a number in its own units. A label that is a distribution has a column ``target=class`` for
    each class beside it.
    """
    spec = decoded.spec
    assert isinstance(spec, TableSpec)
    values = spec.normalisation.invert(decoded.inputs.double())
    data: dict[str, object] = {}
    for column, place in places_of(spec.columns):
        part = values[:, place]
        if column.categories:
            data[column.name] = [column.categories[i] for i in part.argmax(dim=1).tolist()]
        else:
            data[column.name] = part[:, 0].tolist()
    return pd.DataFrame(data | _answers(spec, decoded.targets))


def _answers(spec: TableSpec, targets: Tensor) -> dict[str, object]:
    if spec.task.numeric:
        return {spec.target: (targets[:, 0].double() * scale_of(spec) + spec.target_mean).tolist()}
    return dict(answers_of(spec.target, spec, targets))


def as_text(decoded: Decoded, *, per_class: int = 5) -> str:
    """Return rows as text for a terminal, at most ``per_class`` of each class, the target first."""
    shown = _target_first(decoded, per_class)
    text: str = shown.iloc[:, : COLUMNS_SHOWN + 1].to_string(index=False, float_format="{:.4g}".format)
    hidden = shown.shape[1] - COLUMNS_SHOWN - 1
    return text if hidden <= 0 else f"{text}\n({hidden} more columns)"


def cards(decoded: Decoded, *, per_class: int = 5) -> list[Card]:
    """Return one card: a table of rows, the target first. Numbers have four digits."""
    shown = _target_first(decoded, per_class)
    texts = [tuple(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row) for row in shown.to_numpy().tolist()]
    return [Card("Rows", columns=tuple(map(str, shown.columns)), rows=tuple(texts))]


def _target_first(decoded: Decoded, per_class: int) -> pd.DataFrame:
    frame = dataframe_of(decoded)
    target = decoded.spec.target  # type: ignore[attr-defined]
    rows = [i for indices in decoded.first_of_classes(per_class).values() for i in indices]
    return frame[[target, *[c for c in frame.columns if c != target]]].iloc[rows]
