"""Data whose right answers are known: a picture's class is the quadrant that is bright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

import ddcore as dd
from ddcore.images import Standardise
from ddcore.parts import Split

CLASSES = 4
SIDE = 8


def stamped(train: Sequence[int], test: Sequence[int]) -> dd.TargetData:
    """Return data with so many training and test pictures of each class."""
    spec = dd.images.ImageSpec(
        (1, SIDE, SIDE), CLASSES, tuple(range(CLASSES)), mirror=False, normalisation=Standardise((0.5,), (0.5,))
    )
    return dd.TargetData("stamped", spec, pictures(train, seed=0), pictures(test, seed=1))


def pictures(counts: Sequence[int], seed: int) -> Split:
    targets = torch.repeat_interleave(torch.arange(CLASSES), torch.tensor(counts))
    targets = targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed))]
    inputs = torch.randint(0, 60, (len(targets), 1, SIDE, SIDE), generator=torch.Generator().manual_seed(seed))
    half = SIDE // 2
    for image, target in zip(inputs, targets.tolist(), strict=True):
        row, column = half * (target // 2), half * (target % 2)
        image[0, row : row + half, column : column + half] += 190
    return Split(inputs.to(torch.uint8), targets)


def classes_seen(images: torch.Tensor) -> torch.Tensor:
    """Return the class that each picture shows, whatever its label says.

    Pictures may be in any affine scale.
    """
    half = SIDE // 2
    quadrants = images.reshape(-1, 2, half, 2, half).float().mean(dim=(2, 4))
    return quadrants.flatten(1).argmax(dim=1)


def with_test_labels_shifted(target: dd.TargetData) -> dd.TargetData:
    """Return data whose test labels are all wrong.

    Who has learned anything is right in none, who has not in some.
    """
    assert target.test is not None
    return replace(target, test=Split(target.test.inputs, (target.test.targets + 1) % CLASSES))
