"""``load_data``: target data of any modality, from what its users have."""

from __future__ import annotations

import inspect
from typing import Any

from ddcore.errors import SettingsError
from ddcore.parts import MODALITIES, Modality, TargetData, modality_named


def load_data(source: object, *, modality: str | None = None, **options: Any) -> TargetData:
    """Load a target dataset.

    Args:
        source: a name, a path, or an object of the user's: what each modality's own loader takes
            (``dd.images.load_images``, ``dd.tables.load_table``).
        modality: which of them it is, where the source alone does not say.
        options: of that loader.

    Raises:
        UnknownNameError: no such name, path or modality.
        InputDataError: the data cannot be used as given.
        SettingsError: the loader has no such option.
    """
    chosen = _modality_of(source, options) if modality is None else modality_named(modality)
    known = inspect.signature(chosen.loader()).parameters
    strangers = [name for name in options if name not in known]
    if strangers:
        raise SettingsError(
            f"{chosen.name} are loaded without {strangers[0]!r}: choose of {', '.join(list(known)[1:])}"
        )
    return chosen.loader()(source, **options)


def _modality_of(source: object, options: dict[str, Any]) -> Modality:
    return next(m for m in reversed(MODALITIES.values()) if m.recognises(source, options))
