"""A task of more classes than the data have: each class is cut into clusters."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ddcore.coresets import KMeans
from ddcore.ground.randomness import generator
from ddcore.parts import Classification, Pool, Spec, Split, TargetData

CLASSES = 10
"""How many classes a task has at least that stands for a larger one."""
CLUSTERED = 1000
"""Most examples of a class that clusters are made of."""
CPU = torch.device("cpu")


def finer(target: TargetData, seed: int = 0) -> TargetData:
    """Return the data with clusters of each class in place of classes, `CLASSES` at least.

    Two classes of digits are told apart by nearly anything that is kept of them, so that no score
    tells how much of them a larger task will need. Clusters of one class are as alike as classes
    that come later. K-means makes them of training examples; an example of either split belongs to
    the nearest centre of its class. Examples of classes that the training split lacks are left out.
    Data with as many classes, and those without, stay as they are.

    Args:
        target: the data. Its test split is left out.
        seed: of the clusters.
    """
    spec = target.spec
    each = -(-CLASSES // len(spec.classes))
    if each < 2 or not isinstance(spec.task, Classification):
        return target
    centres = {}
    for class_id in spec.classes:
        members = (target.class_ids() == class_id).nonzero().flatten()[:CLUSTERED]
        pool = Pool(target.train.take(members), spec, CPU)
        count = min(each, len(members))
        draw = generator(seed, "finer", class_id)
        centres[class_id] = KMeans().examples(pool, {class_id: count}, draw, torch.float32)[class_id].inputs.flatten(1)
    names = tuple(f"{class_id}.{i}" for class_id in spec.classes for i in range(each))

    def relabelled(split: Split) -> Split:
        known = torch.isin(spec.task.class_ids(split.targets), torch.tensor(spec.classes))
        split = split.take(known.nonzero().flatten())
        found = torch.zeros(len(split), dtype=torch.int64)
        for place, class_id in enumerate(spec.classes):
            members = (spec.task.class_ids(split.targets) == class_id).nonzero().flatten()
            found[members] = each * place + _nearest(split, members, spec, centres[class_id])
        return replace(split, targets=found)

    train = relabelled(target.train)
    wider = replace(spec, num_classes=len(names), classes=tuple(train.targets.unique().tolist()), class_names=names)
    held_out = None if target.validation is None else relabelled(target.validation)
    return replace(target, spec=wider, train=train, validation=held_out, test=None)


def _nearest(split: Split, members: Tensor, spec: Spec, centres: Tensor) -> Tensor:
    rows = Pool(split, spec, CPU).taken(members, torch.float32).inputs.flatten(1)
    return torch.cdist(rows, centres).argmin(dim=1)
