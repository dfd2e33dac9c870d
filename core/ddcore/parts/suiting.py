"""Settings made for one kind of data, turned to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from ddcore.errors import UnsupportedError
from ddcore.parts.architecture import Architecture, OneOf, Usual
from ddcore.parts.augmentation import Augmentation, NoAugmentation, UsualAugmentation
from ddcore.parts.factorization import Factorization
from ddcore.parts.modality import MODALITIES
from ddcore.parts.spec import Spec

Part = Architecture | Factorization | Augmentation


def parts_within(settings: Any) -> Iterator[Part]:
    """Yield the architectures, factorizations and augmentations in some settings, at any depth."""
    if isinstance(settings, Part):
        yield settings
    for _, value in _settings_of(settings):
        yield from parts_within(value)


def _settings_of(value: Any) -> list[tuple[str, Any]]:
    """Return the fields of a dataclass, or the entries of a tuple, that may hold parts."""
    if isinstance(value, tuple):
        return [(str(i), entry) for i, entry in enumerate(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return [(f.name, getattr(value, f.name)) for f in fields(value) if f.init]
    return []


def require_fitting(settings: Any, spec: Spec) -> None:
    """Raise `UnsupportedError` if a part in ``settings`` is for other data than these."""
    for part in parts_within(settings):
        if part.modality in MODALITIES and not _fits(part, spec):
            raise UnsupportedError(
                f"{type(part).__name__} is for {part.modality}, the data are {spec.modality}: choose another part, or "
                "let method.suited_to(target.spec) choose"
            )


def _fits(part: Part, spec: Spec) -> bool:
    others = part.also if isinstance(part, Architecture) else ()
    return part.modality in (None, spec.modality) or spec.modality in others


def suited(settings: Any, spec: Spec) -> Any:
    """Return settings whose parts fit such data; those that do are the same object.

    The usual architecture of such data replaces an architecture, no augmentation an augmentation,
    and its counterpart a factorization.

    Raises:
        UnsupportedError: a factorization has no counterpart.
    """
    if isinstance(settings, Architecture) and not isinstance(settings, OneOf):
        return suited_architecture(settings, spec)
    if isinstance(settings, Augmentation) and (
        settings.modality is not None or isinstance(settings, UsualAugmentation)
    ):
        return _suited_kind(settings, spec)
    if isinstance(settings, Factorization):
        settings = suited_factorization(settings, spec)
    changed = {name: new for name, value in _settings_of(settings) if (new := suited(value, spec)) is not value}
    if not changed:
        return settings
    if isinstance(settings, tuple):
        return tuple(changed.get(str(i), entry) for i, entry in enumerate(settings))
    return replace(settings, **changed)


def suited_architecture(architecture: Architecture, spec: Spec) -> Architecture:
    """Return ``architecture`` if it takes such data, else the usual one of such data."""
    if isinstance(architecture, OneOf):
        made: Architecture = suited(architecture, spec)
        return made
    fits = _fits(architecture, spec) and not isinstance(architecture, Usual)
    return architecture if fits or spec.modality not in MODALITIES else MODALITIES[spec.modality].usual_network


def _suited_kind(augmentation: Augmentation, spec: Spec) -> Augmentation:
    """Return the augmentation, the usual one it stands for, or none for one of another modality."""
    if isinstance(augmentation, UsualAugmentation):
        return MODALITIES[spec.modality].usual_augmentation if spec.modality in MODALITIES else NoAugmentation()
    return augmentation if augmentation.modality in (None, spec.modality) else NoAugmentation()


def suited_augmentation(augmentation: Augmentation, spec: Spec) -> Augmentation:
    """Return ``augmentation`` without what would change the class of such data.

    `UsualAugmentation` gives the usual one of such data. One of another modality gives none.
    """
    return _suited_kind(augmentation, spec).suited_to(spec)


def suited_factorization(factorization: Factorization, spec: Spec) -> Factorization:
    """Return ``factorization`` if it makes such data, else its counterpart that does.

    Raises:
        UnsupportedError: it has no counterpart.
    """
    if _fits(factorization, spec) or spec.modality not in MODALITIES:
        return factorization
    modality = MODALITIES[spec.modality]
    counterpart = modality.counterpart(factorization)
    if counterpart is None:
        raise UnsupportedError(
            f"{factorization.name} makes {factorization.modality}, the data are {spec.modality}: store "
            f"{modality.as_stored.name}"
        )
    return counterpart
