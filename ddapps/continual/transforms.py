"""Which normalisation the transforms of an Avalanche dataset apply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from ddcore.errors import InputDataError
from ddcore.images import Standardise
from ddcore.parts import Identity, Normalisation

HOLDERS = ("transform", "transforms")
"""Attributes in which composed transforms, and datasets, keep transforms."""


def normalisation_of(dataset: Any) -> Normalisation:
    """Return the ``Normalize`` of a dataset's transforms for evaluation, or none.

    Raises:
        InputDataError: they normalise twice, those for training normalise in another way, or parts
            of the dataset do.
    """
    found = {group: _agreed(_along_paths(dataset, group)) for group in ("train", "eval")}
    if not found["train"].same_as(found["eval"]):
        raise InputDataError(
            "the transforms for training and for evaluation normalise in different ways: what is replayed would fit one of them alone"
        )
    return found["eval"]


def _agreed(paths: list[list[Normalisation]]) -> Normalisation:
    for path in paths:
        if len(path) > 1:
            raise InputDataError(
                f"the dataset's transforms normalise {len(path)} times, one after the other: remove all but one"
            )
    each = [path[0] if path else Identity() for path in paths] or [Identity()]
    if not all(one.same_as(each[0]) for one in each):
        raise InputDataError("parts of the dataset are normalised in different ways: give all of them one transform")
    return each[0]


def _along_paths(node: Any, group: str) -> list[list[Normalisation]]:
    """Return, for each dataset at the bottom, the normalisations on an example's way up."""
    node = getattr(node, "_flat_data", node)
    own = [
        normalisation
        for groups in (getattr(node, "_frozen_transform_groups", None), getattr(node, "_transform_groups", None))
        if groups is not None
        for normalisation in _normalisations(groups.transform_groups.get(group))
    ]
    inner = getattr(node, "_datasets", None) or ([node.dataset] if hasattr(node, "dataset") else [])
    if inner:
        return [path + own for one in inner for path in _along_paths(one, group)]
    return [[*_normalisations(getattr(node, "transform", None)), *own]]


def _normalisations(transform: Any) -> Iterator[Normalisation]:
    if transform is None:
        return
    if isinstance(transform, list | tuple):
        for one in transform:
            yield from _normalisations(one)
    elif type(transform).__name__ == "Normalize":
        yield Standardise(_numbers(transform.mean), _numbers(transform.std))
    elif isinstance(transform, nn.Sequential):
        yield from _normalisations(list(transform))
    else:
        for holder in HOLDERS:
            yield from _normalisations(getattr(transform, holder, None))


def _numbers(given: Any) -> tuple[float, ...]:
    """Return one number per channel, or one for all."""
    return tuple(torch.as_tensor(given, dtype=torch.float64).flatten().tolist())
