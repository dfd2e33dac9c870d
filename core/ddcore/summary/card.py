"""The card of a stored summary: what it is, in words and a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from ddcore.summary.picture import draw
from ddcore.summary.summary import DataSummary
from ddcore.tensorfile import write_atomically
from ddcore.training import Recipe


def write_card(summary: DataSummary, directory: Path) -> None:
    """Write ``README.md``, and ``examples.png`` for images."""
    if len(summary.spec.shape) == 3:
        save_picture(summary, directory / "examples.png")
    write_atomically(directory / "README.md", _text(summary).encode())


def save_picture(summary: DataSummary, path: Path) -> None:
    """Write the picture of the examples as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(draw(summary).numpy()).save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())


def _text(summary: DataSummary) -> str:
    record, spec = summary.record, summary.spec
    method = record.get("method", {}).get("name", "custom")
    made = [f"{record[k]} {k}" for k in ("steps", "seconds") if record.get(k) is not None]
    return f"""# {method} summary of {record.get("data", "a dataset")}

{len(summary)} examples of {len(summary.counts)} classes, {summary.stored_bytes} bytes stored. {", ".join(made)}

![examples, a row per class](examples.png)

| | |
|---|---|
| example | {" x ".join(map(str, spec.shape))}, normalisation `{spec.normalisation.name}` |
| classes | {", ".join(spec.name_of(c) for c in spec.classes[:100])} |
| per class | {summary.ipc} |
| train with | loss `{summary.recipe.loss}`, {_schedule(summary.recipe)} |
| seed | {record.get("seed", "not recorded")} |
| differential privacy | {_claim(record.get("privacy"))} |

```python
import ddcore as dd

inputs, targets = dd.DataSummary.load("path/to/this/directory").tensors()
```
"""


def _schedule(recipe: Recipe) -> str:
    if recipe.steps is not None:
        return f"its own {len(recipe.steps.rates)} steps (config.json holds their sizes)"
    return f"learning rate {recipe.learning_rate or 'of the protocol'}"


def _claim(certificate: object) -> str:
    """Return what a certificate claims, unchecked, in words."""
    if isinstance(certificate, Mapping):
        epsilon, delta = certificate.get("epsilon"), certificate.get("delta")
        if isinstance(epsilon, int | float) and isinstance(delta, int | float):
            return f"epsilon {epsilon:.4g} at delta {delta:g}, by its certificate"
    return "none"
