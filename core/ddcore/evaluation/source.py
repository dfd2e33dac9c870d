"""What networks are trained on, and whether they can be tested on other data."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ddcore.errors import DistillationWarning, InputDataError, Setting, SettingsError
from ddcore.evaluation.report import Report, Result
from ddcore.ground.devices import to_device
from ddcore.ground.mapped import examples_at, placed
from ddcore.parts import Batch, Feed, InitialWeights, Recipe, Split, TargetData, taken
from ddcore.summary import DataSummary, original_bytes
from ddcore.version import __version__


class TrainingSource:
    """What a network is trained on: a summary's examples, or the whole training split."""

    def __init__(self, batch_of: Callable[[Tensor], Batch], size: int, recipe: Recipe, labels: str) -> None:
        self.batch_of, self.size, self.recipe, self.labels = batch_of, size, recipe, labels
        self.members: dict[int, Tensor] = {}
        self.data, self.method, self.ipc, self.stored_bytes = "?", "custom", float("nan"), 0
        self.feed: Feed | None = None
        self.label_bytes = 0
        self.initial: InitialWeights | None = None

    @classmethod
    def of(cls, data: DataSummary | TargetData, device: torch.device, dtype: torch.dtype) -> TrainingSource:
        """Put the examples on ``device``. Real bytes stay bytes until a batch needs them."""
        if isinstance(data, TargetData):
            inputs, targets = placed(data.train.inputs, device), data.train.targets.to(device)
            apply = data.spec.normalisation.apply
            recipe = Recipe(data.spec.task.loss("cross_entropy"))

            def batch_of(indices: Tensor) -> Batch:
                there = to_device(indices, device)
                return Batch(apply(examples_at(inputs, there, device), dtype), targets[there])

            source = cls(batch_of, len(targets), recipe, "hard")
            per_class = len(targets) / len(data.spec.classes)
            source.data, source.method = data.name, "full data"
            source.ipc = int(per_class) if per_class == int(per_class) else round(per_class, 1)
            source.stored_bytes = original_bytes(data.spec, len(targets))
            return source
        decoded, labels = data.tensors(device, dtype)
        kind = "soft" if labels.ndim == 2 else "hard"
        source = cls(partial(taken, Batch(decoded, labels)), len(labels), data.recipe, kind)
        if data.labels is not None:
            source.feed, source.labels = data.labels.feed(device, dtype), data.labels.kind
            source.label_bytes = data.label_bytes
        source.members, source.initial = data.members(), data.initial
        source.data = str(data.record.get("data", "?"))
        source.method = str(data.record.get("method", {}).get("name", "custom"))
        source.ipc, source.stored_bytes = data.ipc, data.stored_bytes
        return source

    def report(
        self,
        protocol: str,
        results: Sequence[Result],
        target: TargetData,
        split: str,
        device: torch.device,
        details: Mapping[str, Any],
    ) -> Report:
        """Return a report of ``results``, with the facts that every report states."""
        facts = {
            "labels": self.labels,
            "normalisation": target.spec.normalisation.describe()["name"],
            "tested_on": {"data": target.name, "split": split, "examples": len(held_out_split(target, split))},
            "device": str(device),
            "threads": details.get("threads", torch.get_num_threads()),
            "versions": {"ddcore": __version__, "torch": torch.__version__},
        }
        return Report(
            self.data, self.method, self.ipc, self.stored_bytes, protocol, tuple(results), {**details, **facts}
        )


def held_out_split(target: TargetData, split: str) -> Split:
    """Return the test or validation split, or raise `InputDataError`."""
    if split not in ("test", "validation"):
        raise SettingsError(f"split must be 'test' or 'validation', not {split!r}")
    held_out = target.test if split == "test" else target.validation
    if held_out is None or not len(held_out):
        raise InputDataError(
            f"{target.name} has no {split} split: give data that have one, or load them with ",
            Setting("test" if split == "test" else "validation"),
        )
    return held_out


def check_compatible(summary: DataSummary | TargetData, target: TargetData, split: str | None = None) -> None:
    """Raise `InputDataError` unless networks trained on ``summary`` can be tested on ``target``.

    Args:
        summary: what they are trained on.
        target: the data.
        split: whose classes are compared with those of the summary. None: no split is looked at.

    Warns:
        DistillationWarning: the split has classes that the summary has no example of.
    """
    ours, theirs = summary.spec, target.spec
    ours.require_same(theirs)
    if ours.shape != theirs.shape:
        raise InputDataError(f"the summary's examples have shape {ours.shape}, the target's {theirs.shape}")
    if ours.num_classes != theirs.num_classes:
        raise InputDataError(f"the summary has {ours.num_classes} classes, the target {theirs.num_classes}")
    if ours.class_names and theirs.class_names and ours.class_names != theirs.class_names:
        raise InputDataError(
            f"the summary's classes are {', '.join(ours.class_names[:5])}, ..., the target's are "
            f"{', '.join(theirs.class_names[:5])}, ...: their ids do not mean the same. Load the target with "
            "like=summary.spec"
        )
    if not ours.normalisation.same_as(theirs.normalisation):
        raise InputDataError(
            "the summary and the target differ in normalisation: load the target with like=summary.spec"
        )
    if split is not None:
        _compare_classes(summary, target, split)


def _compare_classes(summary: DataSummary | TargetData, target: TargetData, split: str) -> None:
    spec = summary.spec
    trained = set(spec.classes if isinstance(summary, TargetData) else summary.counts)
    ids = spec.task.class_ids(held_out_split(target, split).targets)
    tested = set(ids.unique().tolist())
    strangers, shared = sorted(tested - trained), sorted(tested & trained)
    if not strangers:
        return
    advice = f"test on target.of_classes({shared})" if shared else "load the data that the summary was made of"
    if not shared or (trained - tested and not (spec.class_names and target.spec.class_names)):
        raise InputDataError(
            f"the summary has examples of classes {_some(trained)}, the {split} split of {_some(tested)}: their ids do not "
            f"seem to mean the same. Renumber the labels, load both with class_names=, or {advice}"
        )
    count = int(torch.isin(ids, torch.tensor(strangers)).sum())
    warnings.warn(
        f"{count} of {len(ids)} {split} examples are of classes that the summary has no example of "
        f"({_some(strangers)}): none of them can be right. To leave them out, {advice}",
        DistillationWarning,
        stacklevel=4,
    )


def _some(classes: Iterable[int]) -> str:
    """Return the first class ids as text."""
    found = sorted(classes)
    return ", ".join(map(str, found[:10])) + (", ..." if len(found) > 10 else "")
