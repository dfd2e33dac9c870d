"""A warning of classes that no network can learn, since they have no training example."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch

from ddcore.errors import DistillationWarning
from ddcore.parts import Spec, TargetData


def tell_unlearnable(target: TargetData, *, declared: bool) -> None:
    """Warn of classes without a training example.

    Args:
        target: the data.
        declared: whether the number of classes was declared. Else one that is missing among the
            training labels may be a slip, such as labels that begin at 1.
    """
    spec = target.spec
    for title, split in (("test", target.test), ("validation", target.validation)):
        if split is None:
            continue
        ids = spec.task.class_ids(split.targets)
        strangers = sorted(set(ids.unique().tolist()) - set(spec.classes))
        if strangers:
            count = int(torch.isin(ids, torch.tensor(strangers)).sum())
            warnings.warn(
                f"{target.name}: {count} of {len(split)} {title} examples are of classes without a training example "
                f"({_listed(spec, strangers)}): no network can learn these. Add training examples, or leave the classes out: "
                f"target.of_classes({_listed(spec, spec.classes, names=False)})",
                DistillationWarning,
                stacklevel=3,
            )
            declared = True
    missing = sorted(set(range(spec.num_classes)) - set(spec.classes))
    if missing and not declared and not spec.class_names and target.train.targets.ndim == 1:
        warnings.warn(
            f"{target.name}: class ids begin at 0, and the training labels are {_listed(spec, spec.classes)}: networks get "
            f"{spec.num_classes} outputs, of which {len(missing)} never learn. Renumber the labels, or declare "
            f"num_classes={spec.num_classes} if this is meant",
            DistillationWarning,
            stacklevel=3,
        )


def _listed(spec: Spec, classes: Sequence[int], names: bool = True) -> str:
    shown = [spec.name_of(c) if names else str(c) for c in classes[:10]]
    text = ", ".join([*shown, "..."] if len(classes) > 10 else shown)
    return text if names else f"[{text}]"
