"""Partitions of ``flwr-datasets`` as data that can be distilled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import ddcore as dd
from ddcore.errors import InputDataError


def from_flwr_dataset(partition: Any, *, image: str = "image", label: str = "label", **settings: Any) -> dd.TargetData:
    """Return a partition whose rows are mappings with an image and a label.

    Args:
        partition: what ``FederatedDataset.load_partition(index)`` gives, or any sequence of such
            rows. Images are PIL images or arrays of one size.
        image: name of the column of images.
        label: name of the column of labels.
        settings: of ``ddcore.load_data``: all clients need one ``num_classes=`` and one
            ``normalisation=``.

    Raises:
        InputDataError: there is no row or no such column, or images differ in size.

    Example:
        ``from_flwr_dataset(fds.load_partition(0), num_classes=10, normalisation=Standardise((0.5,),
            (0.5,)))``
    """
    images, labels = [], []
    rows: Sequence[Mapping[str, Any]] = partition
    for index in range(len(rows)):
        row = rows[index]
        missing = [name for name in (image, label) if name not in row]
        if missing:
            raise InputDataError(
                f"the partition has no column {missing[0]!r}, it has {sorted(row)}: say image= and label="
            )
        images.append(np.asarray(row[image]))
        labels.append(int(row[label]))
    if not images:
        raise InputDataError("the partition has no row")
    if len({array.shape for array in images}) > 1:
        raise InputDataError("the partition's images differ in size: resize them first")
    return dd.load_data((np.stack(images), np.array(labels)), **settings)
