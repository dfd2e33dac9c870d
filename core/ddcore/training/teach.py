"""Training of a teacher. A call that was killed and is made again goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ddcore.errors import CheckpointError, NumericalError, TeacherError, UnsupportedError
from ddcore.ground.devices import dtype_of, matmul_precision, send_ahead
from ddcore.ground.differences import difference
from ddcore.ground.randomness import derive_seed, generator
from ddcore.ground.statefile import read_state, write_state
from ddcore.parts import Architecture, Network, Pool, Recipe, TargetData, plain_copy, suited_augmentation
from ddcore.settings import describe, require
from ddcore.training.fit import Schedule, Training, drawn_batches, reproducible_dropout, take_step
from ddcore.training.teacher import MANIFEST, Teacher, name_of, read_facts

PARTIAL = "partial.safetensors"
CHECKPOINT_SECONDS = 30.0


def teach(
    target: TargetData,
    directory: Path,
    architecture: Architecture,
    training: Training,
    *,
    seed: int,
    device: torch.device,
    precision: str,
    progress: Callable[[str], None] | None = None,
) -> Teacher:
    """Train a teacher on a training split into a directory. See `ddcore.train_teacher`."""
    name = name_of(architecture)
    if name is None:
        raise UnsupportedError("a teacher on disk is of a named network; of a module of your own take Teacher.of")
    require(training.keep == "final", f"a teacher keeps its final weights, not {training.keep!r}: keep='final'")
    training = replace(training, augmentation=suited_augmentation(training.augmentation, target.spec))
    wanted = {"data": target.fingerprint(), "training": describe(training), "seed": seed}
    if (directory / MANIFEST).exists():
        return _same(Teacher.load(directory), name, wanted, directory)
    spec = target.spec
    drawn = derive_seed(seed, "teacher")
    network = architecture.build(spec.shape, spec.num_classes, seed=drawn, dtype=dtype_of(precision)).to(device)
    seconds = _train(network, target, training, directory, {"network": name, **wanted}, device, precision, progress)
    module = plain_copy(network.module).float().cpu().eval().requires_grad_(False)
    record = {**wanted, "data_name": target.name, "seconds": round(seconds, 3), "precision": precision}
    teacher = Teacher(module, read_facts(spec), name, record)
    teacher.save(directory)
    (directory / PARTIAL).unlink(missing_ok=True)
    return teacher


def _same(teacher: Teacher, name: str, wanted: dict[str, Any], directory: Path) -> Teacher:
    """Return the teacher that is there, if it is the one that is wanted."""
    theirs = {"network": teacher.architecture, **{key: teacher.record.get(key) for key in wanted}}
    for key, value in {"network": name, **wanted}.items():
        found = difference(theirs[key], json.loads(json.dumps(value)), key)
        if found:
            raise TeacherError(f"{directory} holds a teacher of another {key} ({found}): choose another directory")
    return teacher


def _train(
    network: Network,
    target: TargetData,
    training: Training,
    directory: Path,
    identity: dict[str, Any],
    device: torch.device,
    precision: str,
    progress: Callable[[str], None] | None,
) -> float:
    """Train, with a checkpoint between epochs. Return the seconds that it took."""
    pool, partial, seed = Pool(target.train, target.spec, device), directory / PARTIAL, int(identity["seed"])
    recipe = Recipe(target.spec.task.loss("cross_entropy"))
    schedule = Schedule(network, len(pool), training, training.learning_rate)
    first, seconds = _resume(partial, network, schedule, identity)
    started = saved = time.monotonic()
    network.train()
    for epoch in range(first, schedule.epochs):
        random = generator(seed, "teacher-epoch", epoch)
        rates = schedule.begin(epoch)
        with matmul_precision(precision, device), reproducible_dropout(network, random):
            for (indices, view), rate in zip(drawn_batches(len(pool), training, random), rates, strict=False):
                send_ahead(view.tensors(), device)
                schedule.optimiser.param_groups[0]["lr"] = rate
                take_step(network, schedule.optimiser, view(pool.batch(indices)), recipe=recipe, precision=precision)
        now = time.monotonic()
        if now - saved > CHECKPOINT_SECONDS and epoch + 1 < schedule.epochs:
            directory.mkdir(parents=True, exist_ok=True)
            state = {"network": dict(network.state_dict()), "optimiser": schedule.optimiser.state_dict()}
            write_state(partial, state | {"epoch": epoch + 1, "seconds": seconds + now - started, "of": identity})
            saved = now
        if progress is not None:
            progress(f"teacher: epoch {epoch + 1} of {schedule.epochs}")
    if not all(bool(torch.isfinite(tensor).all()) for tensor in network.state_dict().values()):
        raise NumericalError("the teacher's training diverged: lower its learning rate")
    return seconds + time.monotonic() - started


def _resume(partial: Path, network: Network, schedule: Schedule, identity: dict[str, Any]) -> tuple[int, float]:
    """Take up the state of a killed training. Return the epoch that is next, and its seconds."""
    if not partial.exists():
        return 0, 0.0
    try:
        state = read_state(partial)
    except CheckpointError as error:
        raise TeacherError(f"{partial} is damaged: delete it to train the teacher again") from error
    if state["of"] != identity:
        raise TeacherError(f"{partial} is of a teacher with other settings: choose another directory, or delete it")
    for epoch in range(state["epoch"]):
        schedule.begin(epoch)
    network.load_state_dict(state["network"])
    schedule.optimiser.load_state_dict(state["optimiser"])
    return int(state["epoch"]), float(state["seconds"])
