"""A summary as a notebook shows it: what it is, and its examples by class."""

from __future__ import annotations

from ddcore import markup
from ddcore.parts import Card, modality_named
from ddcore.summary.content import Content

MOST_CARDS, MOST_EXAMPLES = 20, 10
"""How many cards are shown, mostly one per class; of each class, how many examples."""


def as_html(summary: Content) -> str:
    """Return HTML: method and data, sizes, and the examples as their modality shows them."""
    method = summary.record.get("method", {})
    name, data = method.get("name", "custom"), summary.record.get("data", "a dataset")
    facts = [f"{len(summary)} examples of {len(summary.counts)} classes", f"{summary.stored_bytes} bytes"]
    facts += [f"preset {method['preset']}"] if method.get("preset") in ("cpu", "paper") else []
    facts += [f"{summary.record[key]} {key}" for key in ("steps", "seconds") if summary.record.get(key) is not None]
    cards = modality_named(summary.spec.modality).cards(summary.decoded(), MOST_EXAMPLES)
    left = len(cards) - MOST_CARDS
    more = [f"<div>and {left} more</div>"] if left > 0 else []
    return markup.card(f"{name} of {data}", ", ".join(facts), *map(_shown, cards[:MOST_CARDS]), *more)


def _shown(card: Card) -> str:
    parts = [markup.image(picture, says) for picture, says in zip(card.pictures, card.says, strict=True)]
    parts += [markup.text("\n".join(card.lines))] if card.lines else []
    parts += [markup.table(card.columns, card.rows)] if card.rows else []
    return markup.labelled(card.title, *parts)
