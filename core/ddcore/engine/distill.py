"""``distill``: from target data and a method to a summary."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import torch

from ddcore.data import ExactSignal, load_data
from ddcore.engine.checkpoint import Checkpoint
from ddcore.engine.loop import Loop
from ddcore.engine.progress import Callback, ProgressBar, closing, watched
from ddcore.errors import InputDataError, SettingsError, UnsupportedError
from ddcore.ground.devices import (
    check_precision,
    fitting_micro_batch,
    fitting_second_order_micro_batch,
    matmul_precision,
    resolve_device,
    warm_allocator,
)
from ddcore.ground.ranks import ALONE, Ranks, join_process_group, local_device
from ddcore.methods import build_method, settled_preset
from ddcore.parts import Examples, Ipc, Method, RealSignal, Recipe, Run, TargetData
from ddcore.summary import DataSummary, Part
from ddcore.version import __version__


def distill(
    target: TargetData | str | Path | None,
    method: Method | str,
    *,
    ipc: Ipc | None = None,
    preset: str | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: str | None = None,
    steps: int | None = None,
    max_seconds: float | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 30.0,
    start: DataSummary | None = None,
    networks: object = None,
    real: RealSignal | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
    micro_batch: int | None = None,
    compile: bool = False,
    distributed: bool = False,
) -> DataSummary:
    """Distill target data into a summary.

    Args:
        target: the data, or its name or path, which `load_data` loads; None if ``real`` is given.
        method: settings only. It is not changed, and serves any number of runs. Or the name of a
            published method (`ddcore.methods.METHODS`), with its settings for such data.
        ipc: examples per class of a method given by its name; default: 10.
        preset: ``paper`` or ``cpu``, of a method given by its name; default: ``cpu`` on a
            processor, ``paper`` on a GPU (`ddcore.methods.settled_preset`).
        seed: of every random number of the run. On a CPU the same seed, machine and number of
            threads give the same stored bytes.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...
        precision: ``fp32``, ``tf32``, ``bf16`` or ``fp64``; default: the method's, else
            the usual one of the device: ``tf32`` on a GPU, ``fp32`` on a CPU.
        steps: replaces the method's number of steps. After 0 the summary is recorded as the
            initialisation of the method.
        max_seconds: the run ends after the step that passes this time. The summary records the
            steps done.
        checkpoint: a file. A run that is killed and started again with the same arguments goes on
            from it and ends in the same bytes. The file stays when the run is complete: delete it
            once the summary is saved. What parts keep lies beside it, such as experts in
            ``<checkpoint>.experts``.
        checkpoint_seconds: least time between two writes of the checkpoint.
        start: a summary to go on from, instead of the factorization's initialisation. The
            optimiser starts anew.
        networks: replaces the method's networks. A `NetworkSource`; or only an architecture: one
            or its name, a function that builds a new module, a module as a template whose weights
            are drawn anew, or a list of these to draw from.
        real: answers for the target data, such as a private signal; default: the data itself.
        callbacks: called with a `Progress` after every step, such as those of `ddcore.callbacks`.
            Of several processes the first alone calls them. One that has a method ``close()`` is
            closed when the run has ended or failed.
        progress: whether to show a bar on standard error. None: where that is a terminal, or this
            is a notebook.
        micro_batch: most examples in one forward pass. The default keeps activations in a
            processor's cache, and in half of the free memory of a GPU. Another number changes the
            last digits of the result only. It is halved where a step does not fit the memory; the
            summary records that.
        compile: whether to compile feature extraction by torch.compile. On a CPU it needs a C++
            compiler.
        distributed: whether the processes that ``torchrun`` started take the steps together. Each
            computes the terms of some classes, and returns the same summary. It equals that of one
            process but for rounding. The first process writes the checkpoint. Any number of
            processes goes on from it.

    Raises:
        DeviceMemoryError: a step does not fit the memory with one example per micro-batch.
        DivergenceError: the loss was not finite. The error holds the last good state.
        UnknownNameError: no method has this name.
        BudgetError: a class has fewer examples than the method stores.
        CheckpointError: the checkpoint is of another run, or damaged.
        ProcessGroupError: another process has ended, or was told other settings.
    """
    _require_method(method)
    callbacks = _callables(callbacks)
    if isinstance(target, str | Path):
        target = load_data(target)
    place, ranks = resolve_device(device), ALONE
    if distributed:
        place = local_device(place)
        ranks = join_process_group(place)
    signal = real or _exact(target)
    if isinstance(method, str):
        preset = settled_preset(preset, place, say=ranks.rank == 0)
        about = signal.spec if target is None else target
        method = build_method(method, ipc=10 if ipc is None else ipc, preset=preset, data=signal.name, target=about)
    elif ipc is not None or preset is not None:
        raise SettingsError(f"ipc and preset are of a method given by its name: {method.name} was built with its own")
    method = method.with_steps(steps).at_precision(precision, place)
    if networks is not None:
        method = method.on_networks(networks)
    method.require_fitting(signal.spec)
    method = method.suited_to(signal.spec)  # the usual network, where none was named
    assert method.precision is not None
    check_precision(method.precision, place)
    _require_shared(method, signal, ranks)
    gradient_micro_batch = micro_batch
    second_order_micro_batch = None
    asked = micro_batch
    if signal.spec.connected:
        micro_batch = gradient_micro_batch = sum(signal.counts.values())  # a graph is read as a whole
    elif micro_batch is None:
        micro_batch = fitting_micro_batch(signal.spec.shape, place)
        eager = method.precision == "fp32" and not compile
        gradient_micro_batch = fitting_micro_batch(signal.spec.shape, place, keeps_graph=eager)
        second_order_micro_batch = fitting_second_order_micro_batch(signal.spec.shape, place, micro_batch)
    if micro_batch < 1:
        raise SettingsError(f"micro_batch must be at least 1, not {micro_batch}")
    warm_allocator(place)
    shown = watched() if progress is None else progress
    bar = [ProgressBar(f"{method.name} on {signal.name}")] if shown and method.steps > 0 and ranks.rank == 0 else []
    run = Run(
        spec=signal.spec,
        real=signal,
        augmentation=method.augmentation.suited_to(signal.spec),
        seed=seed,
        device=place,
        precision=method.precision,
        micro_batch=micro_batch,
        gradient_micro_batch=gradient_micro_batch,
        second_order_micro_batch=second_order_micro_batch,
        compiled=compile,
        steps=method.steps,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        continued=start is not None,
        ranks=ranks,
        report=None if not bar else bar[0].say,
    )
    signal.begin(run)
    versions = {"ddcore": __version__, "torch": torch.__version__, "numpy": numpy.__version__}
    facts = {"method": method.describe(), "seed": seed, "precision": method.precision, "device": place.type}
    started = time.monotonic()
    saver = None
    fingerprint = {
        **facts,
        "start": None if start is None else start.sha256(),
        # Of an accelerator's free memory a run that goes on may find another amount.
        "micro_batch": micro_batch if place.type == "cpu" else asked,
        "compile": compile,
        "threads": torch.get_num_threads(),
        "versions": versions,
    }
    if ranks.size > 1 or checkpoint is not None:
        fingerprint["data"] = signal.fingerprint()
        ranks.require_equal(fingerprint, place)
    if checkpoint is not None:
        saver = Checkpoint(Path(checkpoint), fingerprint, checkpoint_seconds)
        saver.read()
    counts = method.factorization.counts_for(signal.counts)
    if method.labels is not None:
        method.labels.check(sum(counts.values()), signal.spec)
    with matmul_precision(method.precision, place):
        run.examples = _starting_examples(method, run, start).to(place)
        if method.steps > 0:
            run.examples.begin(run)
        if method.matching is not None and method.steps > 0:
            run.networks = method.networks.start(run)

    def summarise(steps_done: int, seconds: float, recipe: Recipe) -> DataSummary:
        record: dict[str, Any] = {
            "data": signal.name,
            **facts,
            "method": method.described_after(steps_done),
            "steps": steps_done,
            "seconds": round(seconds, 3),
            "versions": versions,
            "machine": {
                "python": platform.python_version(),
                "threads": torch.get_num_threads(),
                "processes": ranks.size,
            },
            "micro_batch": {"examples": run.micro_batch, "halvings": run.halvings},
            "cites": list(method.cites),
            **signal.record(),
            **(run.networks.record() if hasattr(run, "networks") else {}),
        }
        if start is not None:
            record["start"] = {"sha256": start.sha256(), "steps": start.record.get("steps")}
        parts = (Part(method.factorization, run.examples.stored()),)
        recipe = replace(recipe, loss=signal.spec.task.loss(recipe.loss))
        initial = run.networks.initial() if hasattr(run, "networks") else None
        return DataSummary(parts, signal.spec, recipe, record, initial=initial)

    def labelled(made: DataSummary) -> DataSummary:
        return made if method.labels is None else made.labelled(method.labels, seed=seed, device=place)

    observers: list[Callback] = [*(callbacks if ranks.rank == 0 else ()), *bar]
    with closing(observers):
        if method.matching is None or method.steps == 0:
            summary = summarise(0, time.monotonic() - started, Recipe())
        else:
            loop = Loop(method, run, summarise, saver, observers)
            summary = loop.run(max_seconds, spent=time.monotonic() - started)
    return labelled(summary)


def _require_method(method: object) -> None:
    """Raise `InputDataError` if it is neither a method nor a name."""
    if not isinstance(method, Method | str):
        swapped = isinstance(method, TargetData)
        remedy = ": the arguments are swapped" if swapped else ", or its name, such as 'dm'"
        raise InputDataError(f"the second argument is a Method{remedy}; got {type(method).__name__}")


def _callables(callbacks: object) -> list[Callback]:
    """Return the callbacks as a list.

    Raises:
        SettingsError: it is no list of functions.
    """
    if not isinstance(callbacks, list | tuple) or not all(map(callable, callbacks)):
        raise SettingsError(
            "callbacks is a list of functions of a Progress, such as [dd.callbacks.CSVLog('progress.csv')], "
            f"not {callbacks!r}"
        )
    return [*callbacks]


def _require_shared(method: Method, signal: RealSignal, ranks: Ranks) -> None:
    """Raise `UnsupportedError` if a step of ``method`` cannot be shared out among processes."""
    if ranks.size == 1 or method.matching is None:
        return
    if len(signal.spec.classes) < ranks.size:
        raise UnsupportedError(f"{len(signal.spec.classes)} classes cannot be shared by {ranks.size} processes")
    if signal.spec.connected or not method.matching.shares_terms():
        raise UnsupportedError(
            f"a step of {method.name} is no sum over classes, so {ranks.size} processes cannot share it: run it in one "
            "process, and several such runs side by side"
        )


def _exact(target: TargetData | None) -> ExactSignal:
    if not isinstance(target, TargetData):
        raise InputDataError(
            f"target must be a TargetData, or a name or path of data, not {type(target).__name__}: take load_data(...)"
        )
    return ExactSignal(target)


def _starting_examples(method: Method, run: Run, start: DataSummary | None) -> Examples:
    if start is None:
        return method.factorization.start(run)
    if len(start.parts) != 1 or type(start.parts[0].factorization) is not type(method.factorization):
        kinds = ", ".join(sorted({p.factorization.name for p in start.parts}))
        raise SettingsError(
            f"the starting summary has {len(start.parts)} part(s) of kind {kinds}; the method continues one "
            f"{method.factorization.name}"
        )
    start.spec.require_same(run.spec)
    if start.spec.shape != run.spec.shape or start.spec.num_classes != run.spec.num_classes:
        raise InputDataError("the starting summary's examples do not have the target data's shape and classes")
    if not start.spec.normalisation.same_as(run.spec.normalisation):
        raise InputDataError("the starting summary was made under another normalisation than the target data's")
    part, wanted = start.parts[0], method.factorization
    if part.factorization.decoder() != wanted.decoder():
        raise SettingsError(
            f"the starting summary stores {part.factorization.decoder()}, the method {wanted.decoder()}: make them equal"
        )
    examples = wanted.restore(part.stored, start.spec).to(run.dtype)
    if examples.counts != wanted.counts_for(run.real.counts):
        raise SettingsError(f"the starting summary has {examples.counts} examples per class: give the method that ipc")
    return examples
