"""``train_teacher``: from target data to a teacher on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from ddcore.errors import InputDataError
from ddcore.ground.devices import check_precision, resolve_device, usual_precision, warm_allocator
from ddcore.parts import TargetData, Usual, UsualAugmentation, as_architecture, require_fitting, suited_architecture
from ddcore.training import Teacher, Training
from ddcore.training.teach import teach

TEACHING = Training(
    epochs=30, learning_rate=0.05, batch_size=128, drop_at=1.0, cosine=0.0, augmentation=UsualAugmentation()
)
"""The usual schedule of a teacher: its learning rate falls to zero along a cosine."""


def train_teacher(
    target: TargetData,
    directory: str | Path,
    *,
    network: object = None,
    training: Training = TEACHING,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Teacher:
    """Train one network on a whole training split, and keep it in a directory.

    Matching of statistics, soft labels and scores of crops follow such a teacher. A call that was
    killed and is made again goes on from the last epoch that was kept. A teacher that is there
    already is returned.

    Args:
        target: the data.
        directory: where the teacher is kept.
        network: a named architecture, such as ``"convnet(norm=batch)"``; default: the usual one of
            such data, which has no BatchNorm.
        training: the schedule.
        seed: of weights, order and augmentation.
        device: as in ``distill``.
        precision: as in ``evaluate``.
        progress: called with a line of text after every epoch.

    Raises:
        TeacherError: the directory holds a teacher of other data, settings or network.
        NumericalError: the training diverged.
    """
    if not isinstance(target, TargetData):
        raise InputDataError(f"target must be a TargetData (see load_data), not {type(target).__name__}")
    architecture = Usual() if network is None else as_architecture(network)
    require_fitting(architecture, target.spec)
    place = resolve_device(device)
    precision = precision or usual_precision(place)
    check_precision(precision, place)
    warm_allocator(place)
    return teach(
        target,
        Path(directory),
        suited_architecture(architecture, target.spec),
        training,
        seed=seed,
        device=place,
        precision=precision,
        progress=progress,
    )
