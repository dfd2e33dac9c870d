"""A summary as files of others. Which forms there are is its modality's."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

from ddcore.errors import DistillationWarning, OutputExistsError, SettingsError, UnsupportedError
from ddcore.parts import Export, modality_named
from ddcore.summary.card import card_of_export
from ddcore.summary.content import Content


def write_export(summary: Content, path: Path, form: str) -> Path:
    """Write a summary's examples in a form of files. See `DataSummary.export`."""
    modality = summary.spec.modality
    forms = {name: made for name, made in modality_named(modality).forms().items() if isinstance(made, Export)}
    if form not in forms:
        known = f"choose one of {', '.join(forms)}" if forms else "there are no forms of files for them"
        raise UnsupportedError(f"{modality} are not written as {form!r}: {known}")
    ending = forms[form].ending
    if ending and path.suffix != ending:
        raise SettingsError(f"form {form!r} is a file that ends in {ending}, not {path.name!r}")
    if path.exists():
        raise OutputExistsError(f"{path} is there already: give a path that is not")
    if summary.labels is not None and summary.labels.fixed() is None:
        warnings.warn(
            f"labels {summary.labels.kind!r} change from view to view: the labels that the examples are stored with are "
            "written in their place",
            DistillationWarning,
            stacklevel=3,
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.writing")
    if draft.is_dir():
        shutil.rmtree(draft)
    draft.unlink(missing_ok=True)
    if not ending:
        draft.mkdir()
    try:
        forms[form].write(summary.decoded(), draft, card_of_export(summary, form))
        draft.replace(path)
    finally:
        if draft.is_dir():
            shutil.rmtree(draft)
        draft.unlink(missing_ok=True)
    return path
