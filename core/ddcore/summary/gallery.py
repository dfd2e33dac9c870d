"""A summary as a notebook shows it: what it is, and its examples by class."""

from __future__ import annotations

import torch

from ddcore import markup
from ddcore.ground.mapped import chosen
from ddcore.parts import Decoded, modality_named
from ddcore.summary.content import Content

MOST_CLASSES, MOST_EXAMPLES = 20, 10
"""How many are shown; of each class, how many examples."""


def as_html(summary: Content) -> str:
    """Return HTML: method and data, sizes, and pictures by class, or text where there are none."""
    method = summary.record.get("method", {})
    name, data = method.get("name", "custom"), summary.record.get("data", "a dataset")
    facts = [f"{len(summary)} examples of {len(summary.counts)} classes", f"{summary.stored_bytes} bytes"]
    facts += [f"preset {method['preset']}"] if method.get("preset") in ("cpu", "paper") else []
    facts += [f"{summary.record[key]} {key}" for key in ("steps", "seconds") if summary.record.get(key) is not None]
    return markup.card(f"{name} of {data}", ", ".join(facts), *_examples(summary))


def _examples(summary: Content) -> list[str]:
    decoded, modality = summary.decoded(), modality_named(summary.spec.modality)
    if summary.spec.connected:  # one class is no part that could be drawn by itself
        whole = modality.picture(decoded)
        return [markup.text(modality.as_text(decoded, 3)) if whole is None else markup.labelled("examples", whole)]
    shown = []
    for class_id in list(summary.counts)[:MOST_CLASSES]:
        picture = modality.picture(_of_class(decoded, class_id))
        if picture is None:
            return [markup.text(modality.as_text(decoded, 3))]
        shown.append(markup.labelled(summary.spec.name_of(class_id), picture))
    left = len(summary.counts) - len(shown)
    return [*shown, *([f"<div>and {left} more classes</div>"] if left else [])]


def _of_class(decoded: Decoded, class_id: int) -> Decoded:
    indices = (decoded.owners == class_id).nonzero().flatten()[:MOST_EXAMPLES]
    owners = torch.full((len(indices),), class_id)
    return Decoded(decoded.spec, chosen(decoded.inputs, indices), decoded.targets[indices], owners)
