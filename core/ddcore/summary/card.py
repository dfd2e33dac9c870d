"""The card of a stored summary: what it is, in words and a picture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ddcore.errors import SettingsError, UnsupportedError
from ddcore.ground.tensorfile import read_limited, write_atomically
from ddcore.markup import PICTURES, encoded
from ddcore.parts import Recipe, modality_named
from ddcore.summary.content import Content
from ddcore.summary.measured import as_cell, measured_table, read_evaluations

CARD = "README.md"
MAX_CARD = 2**22


def write_card(summary: Content, directory: Path) -> None:
    """Write ``README.md``, and ``examples.png`` if the examples have a picture.

    Kept evaluations of the directory are a table in it.
    """
    drawn = _picture(summary)
    if drawn is not None:
        write_atomically(directory / "examples.png", drawn)
    write_atomically(directory / CARD, card_text(summary, directory).encode())


def card_text(summary: Content, directory: Path) -> str:
    """Return what the card of ``directory`` must say of ``summary`` and of its kept evaluations."""
    drawn = modality_named(summary.spec.modality).picture(summary.decoded()) is not None
    shown = "![the synthetic examples](examples.png)" if drawn else _fenced(as_text(summary))
    return _text(summary, shown, measured_table(read_evaluations(directory)))


def read_card(directory: Path) -> str | None:
    """Return the text of the card that lies in ``directory``. None: there is none."""
    if not (directory / CARD).exists():
        return None
    return read_limited(directory / CARD, MAX_CARD).decode("utf-8", errors="replace")


def _fenced(text: str) -> str:
    """Return a block of code that no line of ``text`` can end."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return f"{fence}\n{text}\n{fence}"


def as_text(summary: Content, *, per_class: int = 5) -> str:
    """Return examples as text for a terminal, at most ``per_class`` of each class."""
    return modality_named(summary.spec.modality).as_text(summary.decoded(), per_class)


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
    return encoded(picture, ending)


def _text(summary: Content, shown: str, measured: str) -> str:
    return f"""{_heading(summary)}

{shown}

{_facts(summary)}

{measured and measured + chr(10)}```python
import ddcore as dd

inputs, targets = dd.DataSummary.load("path/to/this/directory").tensors()
```
"""


def card_of_export(summary: Content, form: str) -> str:
    """Return the card of a summary that is written in another form."""
    return f"""{_heading(summary)}

Written as `{form}` by ddapps: what a summary stores may be smaller than this, or more exact.

{_facts(summary)}
"""


def _heading(summary: Content) -> str:
    record = summary.record
    made = [as_cell(f"{record[k]} {k}") for k in ("steps", "seconds") if record.get(k) is not None]
    title = f"{record.get('method', {}).get('name', 'custom')} summary of {record.get('data', 'a dataset')}"
    title = as_cell(title)
    counts = f"{len(summary)} examples of {len(summary.counts)} classes, {summary.stored_bytes} bytes stored."
    return f"# {title}\n\n{counts} {', '.join(made)}"


def _facts(summary: Content) -> str:
    record, spec = summary.record, summary.spec
    return f"""| | |
|---|---|
| example | {" x ".join(map(str, spec.shape))}, normalisation `{spec.normalisation.name}` |
| classes | {", ".join(as_cell(spec.name_of(c)) for c in spec.classes[:100])} |
| per class | {summary.ipc} |
| train with | loss `{summary.recipe.loss}`, {_schedule(summary.recipe)} |
| labels | {_labels(summary)} |
| seed | {as_cell(str(record.get("seed", "not recorded")))} |
| differential privacy | {_claim(record.get("privacy"))} |"""


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
