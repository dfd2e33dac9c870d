"""The union of summaries."""

from __future__ import annotations

from collections.abc import Sequence

from ddcore.errors import InputDataError, SettingsError
from ddcore.parts import Recipe
from ddcore.summary.summary import DataSummary


def concat(summaries: Sequence[DataSummary], *, recipe: Recipe | None = None) -> DataSummary:
    """Return the union of summaries. Their factorizations may differ.

    A class id means the same class in all of them.

    Args:
        summaries: one at least.
        recipe: of the union. It is needed if theirs differ. It is also needed if theirs hold steps
            of their own, since those are for one summary alone.

    Raises:
        SettingsError: there is no summary; or one has labels by a teacher, or initial weights; or
            their recipes do not go together, and none is given.
        InputDataError: their shapes, normalisations or class names differ.
    """
    if not summaries:
        raise SettingsError("concat needs at least one summary")
    if any(s.initial is not None for s in summaries):
        raise SettingsError("the steps of a summary with initial weights are for it alone: it joins no union")
    first = summaries[0]
    for other in summaries[1:]:
        first.spec.require_same(other.spec)
        if other.spec.shape != first.spec.shape:
            raise InputDataError(f"examples of shape {other.spec.shape} and {first.spec.shape} do not go together")
        if not other.spec.normalisation.same_as(first.spec.normalisation):
            raise InputDataError("the summaries differ in normalisation: load their data with one normalisation=")
        if recipe is None and (other.recipe != first.recipe or first.recipe.steps is not None):
            raise SettingsError(
                f"the summaries' recipes do not go together ({_short(other.recipe)}; {_short(first.recipe)}): say with recipe= how to "
                "train on their union (Recipe.merged, for those by one method)"
            )
    if any(s.labels is not None for s in summaries):
        raise SettingsError(
            "labels by a teacher do not go together: take them away (labelled(None)), and label the union"
        )
    named = [s.spec for s in summaries if s.spec.class_names]
    largest = max((s.spec for s in summaries), key=lambda s: (s.num_classes, bool(s.class_names)))
    for spec in named:
        if spec.class_names != largest.class_names[: spec.num_classes] and largest.class_names:
            raise InputDataError("the summaries give one class id different names")
    if any(s.spec.num_classes != largest.num_classes and _has_soft_labels(s) for s in summaries):
        raise InputDataError("soft labels over label spaces of different sizes do not go together: declare num_classes")
    spec = largest.united([s.spec for s in summaries])
    names = {s.record.get("data", "?") for s in summaries}
    record = {
        "data": names.pop() if len(names) == 1 else "union",
        "method": first.record.get("method", {}) if _one_method(summaries) else {"name": "union"},
        "cites": list(dict.fromkeys(key for s in summaries for key in s.record.get("cites", []))),
        "union_of": [dict(s.record) for s in summaries],
    }
    return DataSummary(tuple(p for s in summaries for p in s.parts), spec, recipe or first.recipe, record)


def _short(recipe: Recipe) -> str:
    steps = "" if recipe.steps is None else f", {len(recipe.steps.rates)} steps of its own"
    return f"{recipe.loss}, learning rate {recipe.learning_rate}{steps}"


def _has_soft_labels(summary: DataSummary) -> bool:
    return summary.tensors()[1].ndim == 2


def _one_method(summaries: Sequence[DataSummary]) -> bool:
    return len({str(s.record.get("method", {}).get("name")) for s in summaries}) == 1
