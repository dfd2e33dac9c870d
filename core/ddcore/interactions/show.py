"""Users as people know them: a ``DataFrame``, or text."""

from __future__ import annotations

import pandas as pd

from ddcore.interactions.spec import InteractionSpec
from ddcore.parts import Card, Decoded, SparseRows, as_sparse

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
    most = ", ".join(f"{item} ({weight:.1f})" for item, weight in _most_sampled(decoded))
    lines = [f"items most sampled (sum of weights): {most}"]
    for user, count, heaviest in _users(decoded, per_class):
        lines.append(f"user {user}, {count} items: {', '.join(heaviest)}")
    return "\n".join(lines)


def cards(decoded: Decoded, *, per_class: int = 20) -> list[Card]:
    """Return two cards: users with their heaviest items, and the items most sampled."""
    users = [(str(user), str(count), ", ".join(heaviest)) for user, count, heaviest in _users(decoded, per_class)]
    most = [(item, f"{weight:.1f}") for item, weight in _most_sampled(decoded)]
    return [
        Card("Users", columns=("user", "items", "heaviest items"), rows=tuple(users)),
        Card("Items most sampled", columns=("item", "sum of weights"), rows=tuple(most)),
    ]


def _most_sampled(decoded: Decoded) -> list[tuple[str, float]]:
    rows, items = _rows_of(decoded)
    weights, order = rows.column_sums().sort(descending=True, stable=True)
    return [(items[i], w) for i, w in zip(order.tolist(), weights.tolist(), strict=True)][:MOST_SAMPLED]


def _users(decoded: Decoded, count: int) -> list[tuple[int, int, list[str]]]:
    """Return the first users: their number, how many items they have, the heaviest of these."""
    rows, items = _rows_of(decoded)
    found = []
    for user in range(min(count, len(rows))):
        row = rows[user : user + 1]
        heaviest = row.columns[row.values.argsort(descending=True, stable=True)[:MOST_SAMPLED]]
        found.append((user, len(row.columns), [items[i] for i in heaviest.tolist()]))
    return found
