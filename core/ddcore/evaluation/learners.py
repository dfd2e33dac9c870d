"""Which learner a name means."""

from __future__ import annotations

from ddcore.evaluation.estimators import as_estimator
from ddcore.parts import LEARNERS, MODALITIES, Learner, Spec
from ddcore.settings import settings_from_text


def as_learner(given: object) -> Learner | None:
    """Return the learner that is meant, or None if ``given`` means none."""
    if isinstance(given, Learner):
        return given
    if isinstance(given, str) and given.partition("(")[0].strip() in LEARNERS:
        return settings_from_text(given, {name: kind() for name, kind in LEARNERS.items()}, "learner")
    return as_estimator(given)


def usual_learners(spec: Spec) -> tuple[Learner, ...]:
    """Return what learns from such data where nothing is named. Empty: a network does."""
    return MODALITIES[spec.modality].usual_learners if spec.modality in MODALITIES else ()


def references(spec: Spec) -> tuple[Learner, ...]:
    """Return what is trained on all such data, to compare with."""
    return MODALITIES[spec.modality].references if spec.modality in MODALITIES else ()
