"""``load_data``: target data of any modality, from what its users have."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

from ddcore.data.hugging_face import is_hugging_face
from ddcore.data.unlearnable import tell_unlearnable
from ddcore.errors import InputDataError, SettingsError, UnknownNameError, did_you_mean
from ddcore.parts import MODALITIES, Modality, Spec, TargetData, modality_named


def load_data(
    source: object, *more: object, modality: str | None = None, like: Spec | None = None, **options: Any
) -> TargetData:
    """Load a target dataset.

    Args:
        source: a name, a path, or an object of the user's. Each modality's loader says what it
            takes: ``dd.images.load_images``, ``dd.tables.load_table``.
        more: the rest of a tuple that ``source`` begins: ``load_data(x, y)`` is
            ``load_data((x, y))``.
        modality: its name, such as ``images``. None: the source tells it.
        like: facts of other data that this data must fit, such as a summary's ``spec``. Encoding,
            normalisation and classes are taken from there.
        options: of the modality's loader.

    Raises:
        UnknownNameError: no such name or modality.
        InputDataError: there is no such file, or the data cannot be used as given.
        SettingsError: the loader has no such option.

    Warns:
        DistillationWarning: classes have no training example, which networks cannot learn.
    """
    source = _found(whole(source, more))
    named = modality or (None if like is None else like.modality)
    chosen = _modality_of(source) if named is None else modality_named(named)
    _require_kind(source, chosen)
    load = chosen.loader()
    known = [name for name in inspect.signature(load).parameters if name != "source"]
    strangers = [name for name in options if name not in known]
    if strangers:
        raise SettingsError(
            f"{chosen.name} are loaded without {strangers[0]!r}{did_you_mean(strangers[0], known)}: "
            f"choose of {', '.join(known)}"
        )
    target: TargetData = load(source, **options) if like is None else load(source, like=like, **options)
    if options.get("classes") is None:
        tell_unlearnable(target, declared=like is not None or options.get("num_classes") is not None)
    return target


def _require_kind(source: object, chosen: Modality) -> None:
    """Raise `InputDataError` if it is a name of another modality, and of none here."""
    if not isinstance(source, str) or source in chosen.sources:
        return
    others = [modality.name for modality in MODALITIES.values() if source in modality.sources]
    if others:
        raise InputDataError(f"{source!r} names {' or '.join(others)}, and {chosen.name} are wanted: give other data")


def whole(source: object, more: tuple[object, ...]) -> object:
    """Return what several arguments mean together: arrays and labels, or training and test.

    Raises:
        InputDataError: a name or a path stands among several.
    """
    if not more:
        return source
    together = (source, *more)
    if any(isinstance(part, str | Path) for part in together):
        raise InputDataError("load_data takes one name or path; options are named: load_data(path, target='column')")
    if len(together) == 2 and all(map(is_hugging_face, together)):
        return dict(zip(("train", "test"), together, strict=True))
    return together


def _found(source: object) -> object:
    """Return the source; of a path, with the home folder in place of ``~``.

    Raises:
        InputDataError: it looks like a path, and nothing is there.
    """
    if isinstance(source, tuple) and len(source) == 2 and all(map(is_hugging_face, source)):
        return whole(source[0], source[1:])
    if not isinstance(source, str | Path):
        return source
    path = Path(source).expanduser() if str(source).startswith("~") else Path(source)
    named = any(str(source) in modality.sources for modality in MODALITIES.values())
    looks = isinstance(source, Path) or "/" in source or os.sep in source or path.suffix in _ENDINGS
    if looks and not named and not path.exists():
        raise InputDataError(f"no such file or folder: {path}")
    return type(source)(path) if path != Path(source) else source


_ENDINGS = (".npz", ".tar", ".csv", ".parquet", ".tsv", ".txt", ".zip", ".h5", ".hdf5", ".png", ".jpg", ".json")
"""Endings by which a word is taken for a file."""


def _modality_of(source: object) -> Modality:
    """Return the modality of a source.

    What a modality surely knows as its own is its own. Else a name or a path belongs to the first
    modality that recognises it, an object to the last.
    """
    found = [modality for modality in MODALITIES.values() if modality.recognises(source)]
    if not found:
        known = dict.fromkeys(name for modality in MODALITIES.values() for name in modality.sources)
        if isinstance(source, Path) or (isinstance(source, str) and Path(source).exists()):
            forms = ", ".join(sorted(name for name in known if "/" in name))
            raise InputDataError(f"{source} is of no known kind: give one of {forms}")
        raise UnknownNameError("data", str(source)[:100], known)
    found = [modality for modality in found if modality.sure] or found
    return found[0] if isinstance(source, str | Path) else found[-1]
