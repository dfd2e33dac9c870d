"""Users as people know them: a ``DataFrame``, or text."""

from __future__ import annotations

import pandas as pd

from ddcore.interactions.spec import InteractionSpec
from ddcore.parts import Decoded, SparseRows, as_sparse

MOST_SAMPLED = 10


def _rows_of(decoded: Decoded) -> tuple[SparseRows, tuple[str, ...]]:
    assert isinstance(decoded.spec, InteractionSpec)
    return as_sparse(decoded.inputs), decoded.spec.items


def dataframe_of(decoded: Decoded) -> pd.DataFrame:
    """Return columns ``user``, ``item`` and ``weight``, a row for each item of each user."""
    rows, items = _rows_of(decoded)
    names = [items[i] for i in rows.columns.tolist()]
    return pd.DataFrame({"user": rows.rows().tolist(), "item": names, "weight": rows.values.tolist()})


def as_text(decoded: Decoded, *, per_class: int = 5) -> str:
    """Return the items most sampled, and the heaviest items of some users."""
    rows, items = _rows_of(decoded)
    weights, order = rows.column_sums().sort(descending=True, stable=True)
    most = [f"{items[i]} ({w:.1f})" for i, w in zip(order.tolist(), weights.tolist(), strict=True)][:MOST_SAMPLED]
    lines = [f"items most sampled (sum of weights): {', '.join(most)}"]
    for user in range(min(per_class, len(rows))):
        row = rows[user : user + 1]
        heaviest = row.columns[row.values.argsort(descending=True, stable=True)[:MOST_SAMPLED]]
        lines.append(f"user {user}, {len(row.columns)} items: {', '.join(items[i] for i in heaviest.tolist())}")
    return "\n".join(lines)
