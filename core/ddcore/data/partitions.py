"""Partitions of the training split into clients or tasks.

Class ids, test split and normalisation stay those of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ddcore.errors import BudgetError
from ddcore.ground.randomness import generator
from ddcore.parts import TargetData


def _parts(target: TargetData, pieces: list[Tensor]) -> list[TargetData]:
    return [target.with_train(p.sort().values, f"{target.name}/{i}") for i, p in enumerate(pieces)]


def _check(target: TargetData, parts: int) -> None:
    if not 1 <= parts <= len(target.train):
        raise BudgetError(f"{len(target.train)} training examples cannot be split into {parts} parts")


def _shuffled(target: TargetData, class_id: int, random: torch.Generator) -> Tensor:
    """Return the places of a class's examples, in an order drawn at random."""
    members = (target.class_ids() == class_id).nonzero().flatten()
    return members[torch.randperm(len(members), generator=random)]


def _proportional(members: Tensor, shares: Tensor) -> list[Tensor]:
    """Cut ``members`` into pieces whose sizes follow ``shares``, which add up to 1.

    Every member is in exactly one piece.
    """
    ends = (shares.cumsum(0) * len(members)).round().long().clamp(0, len(members))
    ends[-1] = len(members)
    return [members[a:b] for a, b in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]


def _dirichlet(alpha: float, size: int, random: torch.Generator) -> Tensor:
    """Draw shares from a symmetric Dirichlet distribution.

    They are Gamma variables in float64, normalised.
    """
    if not 1e-4 <= alpha <= 1e6:
        raise BudgetError(f"alpha must lie in [1e-4, 1e6], not {alpha}; for equal shares use iid")
    # Gamma(alpha) = Gamma(alpha + 1) * U^(1/alpha).
    # In logarithms a tiny alpha does not underflow to 0/0.
    numpy_seed = int(torch.randint(2**31, (1,), generator=random))
    import numpy as np

    draws = np.random.default_rng(numpy_seed)
    logs = np.log(draws.gamma(alpha + 1.0, size=size)) + np.log(draws.random(size=size)) / alpha
    return torch.softmax(torch.from_numpy(logs), dim=0)


def iid(target: TargetData, parts: int, *, seed: int = 0) -> list[TargetData]:
    """Shuffle, and cut into ``parts`` whose sizes differ by one example at most."""
    _check(target, parts)
    order = torch.randperm(len(target.train), generator=generator(seed, "partition-iid"))
    return _parts(target, list(order.tensor_split(parts)))


def dirichlet(target: TargetData, parts: int, alpha: float, *, seed: int = 0) -> list[TargetData]:
    """Give each class to the parts by shares drawn from Dirichlet(alpha).

    The smaller alpha is, the fewer classes a part has. A part that would be empty gets one example
    of the largest part, so that every client has data.
    """
    _check(target, parts)
    random = generator(seed, "partition-dirichlet")
    pieces: list[list[Tensor]] = [[] for _ in range(parts)]
    for class_id in target.spec.classes:
        members = _shuffled(target, class_id, random)
        for piece, share in zip(pieces, _proportional(members, _dirichlet(alpha, parts, random)), strict=True):
            piece.append(share)
    return _parts(target, _fill_empty([torch.cat(p) for p in pieces]))


def quantity_skew(target: TargetData, parts: int, alpha: float, *, seed: int = 0) -> list[TargetData]:
    """Shuffle, and cut into parts whose sizes are drawn from Dirichlet(alpha). No part is empty."""
    _check(target, parts)
    random = generator(seed, "partition-quantity")
    order = torch.randperm(len(target.train), generator=random)
    return _parts(target, _fill_empty(_proportional(order, _dirichlet(alpha, parts, random))))


def shards(target: TargetData, parts: int, shards_per_part: int = 2, *, seed: int = 0) -> list[TargetData]:
    """Sort by class, cut into shards, and give each part ``shards_per_part`` of them at random.

    Source: McMahan 2017.
    """
    _check(target, parts * shards_per_part)
    by_class = target.class_ids().argsort(stable=True)
    runs = by_class.tensor_split(parts * shards_per_part)
    order = torch.randperm(len(runs), generator=generator(seed, "partition-shards")).tolist()
    return _parts(
        target,
        [torch.cat([runs[r] for r in order[i * shards_per_part : (i + 1) * shards_per_part]]) for i in range(parts)],
    )


def classes_each(target: TargetData, parts: int, classes_per_part: int, *, seed: int = 0) -> list[TargetData]:
    """Give each part so many classes, and divide each class equally among the parts that own it.

    Sizes of one class's pieces differ by one example at most, and so do the numbers of parts that
    own a class. Li et al. draw all classes of a part but the first without that balance.

    Source: Li et al. 2022 (NIID-Bench, arXiv:2102.02079), "#C = k".

    Raises:
        BudgetError: the parts cannot own that many classes, some class would belong to nobody, or a
            class has fewer examples than owners.
    """
    _check(target, parts)
    classes = target.spec.classes
    if not 1 <= classes_per_part <= len(classes):
        raise BudgetError(f"a part has 1 to {len(classes)} classes, not {classes_per_part}")
    if parts * classes_per_part < len(classes):
        raise BudgetError(
            f"{parts} parts of {classes_per_part} classes leave some of {len(classes)} classes to nobody: "
            f"give each part {-(-len(classes) // parts)} at least"
        )
    random = generator(seed, "partition-classes")
    owners: dict[int, list[int]] = {class_id: [] for class_id in classes}
    for part in torch.randperm(parts, generator=random).tolist():
        order = [classes[place] for place in torch.randperm(len(classes), generator=random).tolist()]
        for class_id in sorted(order, key=lambda c: len(owners[c]))[:classes_per_part]:
            owners[class_id].append(part)
    pieces: list[list[Tensor]] = [[] for _ in range(parts)]
    for class_id, owning in owners.items():
        members = _shuffled(target, class_id, random)
        if len(members) < len(owning):
            raise BudgetError(
                f"class {class_id} has {len(members)} examples for {len(owning)} parts: take fewer parts, or fewer classes for each"
            )
        for part, piece in zip(owning, members.tensor_split(len(owning)), strict=True):
            pieces[part].append(piece)
    return _parts(target, [torch.cat(piece) for piece in pieces])


def by_class(target: TargetData, tasks: int, *, order: Sequence[int] | None = None) -> list[TargetData]:
    """Cut the classes, in ``order``, into ``tasks`` groups, for class-incremental learning.

    A task's test split has the classes of the task. All classes are kept: where they do not divide
    evenly, the first tasks get one more.
    """
    classes = list(order if order is not None else target.spec.classes)
    if sorted(classes) != list(target.spec.classes):
        raise BudgetError(f"order must list each class once: {target.spec.classes}")
    if not 1 <= tasks <= len(classes):
        raise BudgetError(f"{len(classes)} classes cannot be split into {tasks} tasks")
    groups = torch.tensor(classes).tensor_split(tasks)
    return [target.of_classes(group.tolist()) for group in groups]


def _fill_empty(pieces: list[Tensor]) -> list[Tensor]:
    for i, piece in enumerate(pieces):
        if not len(piece):
            largest = max(range(len(pieces)), key=lambda j: len(pieces[j]))
            pieces[i], pieces[largest] = pieces[largest][-1:], pieces[largest][:-1]
    return pieces
