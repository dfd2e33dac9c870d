"""``train_experts``: from target data to a directory of experts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from ddcore import sources
from ddcore.errors import InputDataError
from ddcore.ground.devices import resolve_device, warm_allocator
from ddcore.ground.workers import Workers
from ddcore.parts import Architecture, TargetData, Usual, as_architecture, require_fitting
from ddcore.sources import ExpertBuffer, ExpertData, ExpertTraining


def train_experts(
    target: TargetData,
    directory: str | Path,
    *,
    network: object = None,
    training: ExpertTraining | None = None,
    count: int = 100,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: str | None = None,
    together: int | None = None,
    workers: int | Workers = 0,
    progress: Callable[[str], None] | None = None,
) -> ExpertBuffer:
    """Train networks on a whole training split and keep their weights after every epoch.

    Trajectory matching follows them. A call that was killed and is made again goes on where it
    was. A call with a larger ``count`` adds experts.

    Args:
        target: the data.
        directory: where the experts are kept.
        network: their architecture, without BatchNorm, in any form that `as_architecture` takes;
            default: the usual one of such data.
        training: the schedule; default: that of MTT.
        count: how many experts there shall be in the end.
        seed: of weights, order and augmentation.
        device: as in ``distill``.
        precision: of products; default: the usual one of the device. Weights are float32, and
            ``bf16`` and ``fp64`` mean ``fp32`` here.
        together: number of networks that take each step at once. None: all of them where that is
            faster, else one. Gradients are taken of as many at a time as fit the memory of a GPU.
        workers: processes of Ray that train experts side by side: how many, or `Workers` of a
            cluster. 0: this process trains all.
        progress: called with a line of text now and then.

    Raises:
        DeviceMemoryError: a step of one network does not fit the memory.
        ExpertsError: the directory holds experts of other settings, network or data.
        MissingExtraError: ``workers`` without Ray.
    """
    if not isinstance(target, TargetData):
        raise InputDataError(f"target must be a TargetData (see load_data), not {type(target).__name__}")
    architecture: Architecture = Usual()
    if network is not None:
        architecture = as_architecture(network)
        require_fitting(architecture, target.spec)
    place = resolve_device(device)
    warm_allocator(place)
    return sources.train_experts(
        Path(directory),
        ExpertData.of_target(target, place),
        architecture,
        training or ExpertTraining(),
        count=count,
        seed=seed,
        device=place,
        precision=precision,
        together=together,
        workers=Workers(workers) if isinstance(workers, int) else workers,
        progress=progress,
    )
