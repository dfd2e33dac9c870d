"""``load_data``: target data of any modality, from what its users have."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from ddcore.errors import SettingsError, UnknownNameError, did_you_mean
from ddcore.parts import MODALITIES, Modality, Spec, TargetData, modality_named


def load_data(source: object, *, modality: str | None = None, like: Spec | None = None, **options: Any) -> TargetData:
    """Load a target dataset.

    Args:
        source: a name, a path, or an object of the user's. Each modality's loader says what it
            takes: ``dd.images.load_images``, ``dd.tables.load_table``.
        modality: its name, such as ``images``. None: the source tells it.
        like: facts of other data that this data must fit, such as a summary's ``spec``. Encoding,
            normalisation and classes are taken from there.
        options: of the modality's loader.

    Raises:
        UnknownNameError: no such name, path or modality.
        InputDataError: the data cannot be used as given.
        SettingsError: the loader has no such option.
    """
    named = modality or (None if like is None else like.modality)
    chosen = _modality_of(source) if named is None else modality_named(named)
    load = chosen.loader()
    known = [name for name in inspect.signature(load).parameters if name != "source"]
    strangers = [name for name in options if name not in known]
    if strangers:
        raise SettingsError(
            f"{chosen.name} are loaded without {strangers[0]!r}{did_you_mean(strangers[0], known)}: "
            f"choose of {', '.join(known)}"
        )
    return load(source, **options) if like is None else load(source, like=like, **options)


def _modality_of(source: object) -> Modality:
    """Return the modality of a source.

    What a modality surely knows as its own is its own. Else a name or a path belongs to the first
    modality that recognises it, an object to the last.
    """
    found = [modality for modality in MODALITIES.values() if modality.recognises(source)]
    if not found:
        known = dict.fromkeys(name for modality in MODALITIES.values() for name in modality.sources)
        raise UnknownNameError("data", str(source)[:100], known)
    found = [modality for modality in found if modality.sure] or found
    return found[0] if isinstance(source, str | Path) else found[-1]
