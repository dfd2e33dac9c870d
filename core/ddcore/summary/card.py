"""The card of a stored summary: what it is, in words and a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from ddcore.errors import SettingsError, UnsupportedError
from ddcore.ground.tensorfile import write_atomically
from ddcore.parts import Recipe, modality_named
from ddcore.summary.content import Content


def write_card(summary: Content, directory: Path) -> None:
    """Write ``README.md``, and ``examples.png`` if the examples have a picture."""
    drawn = _picture(summary)
    if drawn is not None:
        write_atomically(directory / "examples.png", drawn)
    shown = "![the synthetic examples](examples.png)" if drawn is not None else f"```\n{as_text(summary)}\n```"
    write_atomically(directory / "README.md", _text(summary, shown).encode())


def as_text(summary: Content, *, per_class: int = 5) -> str:
    """Return examples as text for a terminal, at most ``per_class`` of each class."""
    return modality_named(summary.spec.modality).as_text(summary.decoded(), per_class)


PICTURES: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True},
}
"""How a picture is written, by the ending of its name. JPEG changes pixels a little."""


def save_picture(summary: Content, path: Path) -> None:
    """Write the picture of the examples, as the ending of the name says.

    Raises:
        SettingsError: the ending is not one of `PICTURES`.
        UnsupportedError: such examples have no picture.
    """
    if path.suffix.lower() not in PICTURES:
        *most, last = sorted(PICTURES)
        raise SettingsError(
            f"a picture is written as {', '.join(most)} or {last}: {path.name} is none of them, give another name"
        )
    drawn = _picture(summary, path.suffix.lower())
    if drawn is None:
        raise UnsupportedError(f"{summary.spec.modality} have no picture: show them as text")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, drawn)


def _picture(summary: Content, ending: str = ".png") -> bytes | None:
    picture = modality_named(summary.spec.modality).picture(summary.decoded())
    if picture is None:
        return None
    buffer = io.BytesIO()
    Image.fromarray(picture.numpy()).save(buffer, **PICTURES[ending])
    return buffer.getvalue()


def _text(summary: Content, shown: str) -> str:
    record, spec = summary.record, summary.spec
    method = record.get("method", {}).get("name", "custom")
    made = [f"{record[k]} {k}" for k in ("steps", "seconds") if record.get(k) is not None]
    return f"""# {method} summary of {record.get("data", "a dataset")}

{len(summary)} examples of {len(summary.counts)} classes, {summary.stored_bytes} bytes stored. {", ".join(made)}

{shown}

| | |
|---|---|
| example | {" x ".join(map(str, spec.shape))}, normalisation `{spec.normalisation.name}` |
| classes | {", ".join(spec.name_of(c) for c in spec.classes[:100])} |
| per class | {summary.ipc} |
| train with | loss `{summary.recipe.loss}`, {_schedule(summary.recipe)} |
| labels | {_labels(summary)} |
| seed | {record.get("seed", "not recorded")} |
| differential privacy | {_claim(record.get("privacy"))} |

```python
import ddcore as dd

inputs, targets = dd.DataSummary.load("path/to/this/directory").tensors()
```
"""


def _labels(summary: Content) -> str:
    labels = summary.labels
    if labels is None:
        return "as stored with the examples"
    makers = f", by {len(labels.made_by)} teacher{'s' if len(labels.made_by) > 1 else ''}" if labels.made_by else ""
    return f"`{labels.kind}`, temperature {labels.temperature:g}{makers}, {summary.label_bytes} bytes"


def _schedule(recipe: Recipe) -> str:
    if recipe.steps is not None:
        return f"its own {len(recipe.steps.rates)} steps (config.json holds their sizes)"
    return f"learning rate {recipe.learning_rate or 'of the protocol'}"


def _claim(certificate: object) -> str:
    """Return in words what a certificate claims. Nothing of it is checked."""
    if isinstance(certificate, Mapping):
        epsilon, delta = certificate.get("epsilon"), certificate.get("delta")
        if isinstance(epsilon, int | float) and isinstance(delta, int | float):
            return f"epsilon {epsilon:.4g} at delta {delta:g}, by its certificate"
    return "none"
