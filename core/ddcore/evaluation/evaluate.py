"""``evaluate``: train new networks on a summary, and test their final iterates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ddcore.errors import SettingsError, UnsupportedError
from ddcore.evaluation.given import given
from ddcore.evaluation.labels import under_labels
from ddcore.evaluation.learners import as_learner, usual_learners
from ddcore.evaluation.protocols import as_protocol
from ddcore.evaluation.report import Report, Result
from ddcore.evaluation.source import TrainingSource, check_compatible, held_out_split
from ddcore.ground.devices import (
    autocast,
    check_precision,
    dtype_of,
    matmul_precision,
    resolve_device,
    usual_precision,
    warm_allocator,
)
from ddcore.ground.mapped import placed
from ddcore.ground.randomness import derive_seed, generator
from ddcore.ground.tally import Tally, sayer
from ddcore.ground.workers import Job, Workers
from ddcore.parts import (
    Architecture,
    Augmentation,
    Learner,
    Network,
    Spec,
    Split,
    TargetData,
    architecture_label,
    as_architecture,
    measured,
    require_fitting,
    scored,
    suited_architecture,
    suited_augmentation,
)
from ddcore.settings import describe, require_counts
from ddcore.summary import DataSummary
from ddcore.training import Protocol, Teacher, Training, Watch, fit, under_feed

LEARNED = "learners"
"""What a report calls the protocol where no network was trained."""


def evaluate(
    summary: DataSummary | TargetData | str | Path,
    target: TargetData | str | Path,
    *,
    networks: object = None,
    protocol: str | Protocol = "dc",
    runs: int = 5,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: str | None = None,
    split: str = "test",
    teachers: Teacher | Sequence[Teacher] = (),
    workers: int | Workers = 0,
    progress: Callable[[str], None] | bool | None = None,
) -> Report:
    """Train new networks on a summary by its recipe, and score them on held-out real data.

    Args:
        summary: what is trained on, or the path where it was saved. A `TargetData` stands for its
            whole training split, as a reference.
        target: the data on whose held-out split is tested. A name or path is loaded with
            ``like=summary.spec``.
        networks: one or several architectures, as names such as ``"convnet(width=64)"``,
            settings, modules or factories. Learners may be among them: by name, such as
            ``"ease"``, or as objects; and estimators of scikit-learn, as
            ``"sklearn:hist-gradient-boosting"`` or as objects. Default: what usually learns from
            such data; else the protocol's network, for most protocols the usual one.
        protocol: a name in `PROTOCOLS`; ``paper``, that of the summary's method; or a `Protocol`.
            The command line takes ``quick`` by default.
        runs: networks per architecture, each with weights and order of its own. A learner with
            nothing random is run once, and so is the network whose first weights a summary holds.
        seed: of weights, order and augmentation.
        device: as in ``distill``.
        precision: ``fp32``, ``tf32``, ``bf16`` or ``fp64``; default: the usual one of the device,
            as in ``distill``, whatever the summary was distilled at.
        split: ``test``, or ``validation`` for choosing settings.
        teachers: that label the examples, where the protocol wants labels that the summary lacks.
        workers: processes of Ray that take runs side by side, each on one thread: how many, or
            `Workers` of a cluster. 0: this process takes all.
        progress: called with lines of text: how many models will be trained, beforehand, and how
            many are done and what time is left, as they are done (`ddcore.ground.Tally`). True:
            they are printed on standard error. None or False: nothing is said.

    Returns:
        A `Report` of final iterates, or of the best on *validation* data where the protocol keeps
        those; never of the best on what is tested.

    Raises:
        TeacherError: the protocol needs a teacher, or one reads other data.
        InputDataError: the target has no such split, or no validation split where the protocol
            keeps the weights that are best on it; or its shape, classes or normalisation are not
            those of the summary.

    Warns:
        DistillationWarning: held-out examples are of classes that the summary has no example of.
    """
    summary, target = given(summary, target)
    protocol = as_protocol(protocol, summary)
    if networks is None and isinstance(summary, DataSummary) and summary.initial is not None:
        networks = summary.initial.architecture
    if networks is None:
        usual = usual_learners(target.spec)
        networks = usual or suited_architecture(protocol.network, target.spec)
    place = resolve_device(device)
    precision = precision or usual_precision(place)
    check_precision(precision, place)
    warm_allocator(place)
    require_counts(runs=runs)
    held_out_split(target, split)
    check_compatible(summary, target, split)
    named = networks if isinstance(networks, list | tuple) else [networks]
    learners = [_fitting(as_learner(n) or as_architecture(n), target.spec) for n in named]
    if not learners:
        raise SettingsError("networks is empty: name at least one architecture")
    if isinstance(summary, DataSummary) and summary.initial is not None:
        for learner in learners:
            summary.initial.require(learner)  # type: ignore[arg-type]
        runs = 1
    training = replace(protocol.training, augmentation=_suited(protocol, summary, target))
    labellers = (teachers,) if isinstance(teachers, Teacher) else tuple(teachers)
    if labellers and (protocol.labels is None or isinstance(protocol.labels, str)):
        raise SettingsError(f"protocol {protocol.name!r} takes no teacher: leave it out, or take fixed-soft or teacher")
    summary = under_labels(summary, protocol, labellers, seed=seed, device=place)
    crew = Workers(workers) if isinstance(workers, int) else workers
    source = TrainingSource.of(summary, place, dtype_of(precision))
    training = under_feed(training, source.feed)
    trials = _Trials(summary, target, split, training, seed, precision, crew.device_of_call(place))
    results = trials.results(learners, runs, source, crew, sayer(progress))
    details: dict[str, Any] = {
        "training": describe(training),
        "recipe": source.recipe.to_json(),
        "networks": [describe(learner) for learner in learners],
        "iterate": training.keep,
        "seed": seed,
        "precision": precision,
        "label_bytes": source.label_bytes,
        "threads": 1 if crew else torch.get_num_threads(),
    }
    trains = any(isinstance(learner, Architecture) for learner in learners)
    return source.report(protocol.name if trains else LEARNED, results, target, split, place, details)


@dataclass(frozen=True)
class _Trials:
    """Runs of learners on one summary. Any process can take any of them."""

    summary: DataSummary | TargetData
    target: TargetData
    split: str
    training: Training
    seed: int
    precision: str
    device: torch.device

    def results(
        self,
        learners: Sequence[Architecture | Learner],
        runs: int,
        source: TrainingSource,
        workers: Workers,
        progress: Callable[[str], None] | None,
    ) -> list[Result]:
        every = [(n, run) for n, learner in enumerate(learners) for run in range(_runs_of(learner, runs))]
        labels = [n.label if isinstance(n, Learner) else architecture_label(n) for n in learners]

        def jobs() -> Iterator[Job[tuple[dict[str, float], int, float]]]:
            for learner, run in every:
                yield self.run, (learners[learner], run, None if workers else source)

        tally = Tally(progress, len(every), "models")
        if progress is not None:
            each = ", ".join(f"{label} x {_runs_of(n, runs)}" for n, label in zip(learners, labels, strict=True))
            progress(f"{len(every)} models will be trained on {self.title}: {each}")
        found = {}
        for number, outcome in workers.calls(jobs(), self.device):
            found[every[number]] = outcome
            learner, run = every[number]
            name, score = next(iter(outcome[0].items()))
            tally.done(f"{labels[learner]}, run {run + 1}, {name} {score:.2f}")
        results = []
        for n, label in enumerate(labels):
            scores, weights, seconds = zip(*(found[job] for job in every if job[0] == n), strict=True)
            by_name = {name: tuple(score[name] for score in scores) for name in scores[0]}
            results.append(Result(label, by_name, sum(seconds), weights[0]))
        return results

    @property
    def title(self) -> str:
        """What is trained on, in words."""
        if isinstance(self.summary, TargetData):
            return f"all of {self.summary.name}"
        return f"{self.summary.record.get('method', {}).get('name', 'a summary')} of {self.target.name}"

    def run(
        self, learner: Architecture | Learner, run: int, source: TrainingSource | None
    ) -> tuple[dict[str, float], int, float]:
        """Return the scores of one run, the number of weights, and the seconds that it took."""
        started, spec, place = time.monotonic(), self.target.spec, self.device
        source = source or TrainingSource.of(self.summary, place, dtype_of(self.precision))
        held_out, weights = held_out_split(self.target, self.split), 0
        with matmul_precision(self.precision, place):
            if isinstance(learner, Learner):
                outputs = _learned(learner, source, held_out, self.target, place, derive_seed(self.seed, "run", run))
            else:
                validates = self.training.keep != "final"
                network = train_one(
                    learner,
                    source,
                    self.training,
                    spec,
                    seed=self.seed,
                    run=run,
                    precision=self.precision,
                    validate=_validation(self.target, place, self.precision) if validates else None,
                )
                weights = sum(p.numel() for p in network.parameters())
                with autocast(self.precision, place):
                    outputs = predict(network, held_out, spec, place)
        return spec.task.scores(outputs, held_out.targets), weights, time.monotonic() - started


def _runs_of(learner: Architecture | Learner, runs: int) -> int:
    return 1 if isinstance(learner, Learner) and not learner.random else runs


def train_one(
    architecture: Architecture,
    source: TrainingSource,
    training: Training,
    spec: Spec,
    *,
    seed: int,
    run: int,
    precision: str | None = None,
    watch: Callable[[Network], Watch] | None = None,
    validate: Callable[[Network], float] | None = None,
) -> Network:
    """Return one trained network.

    Its first weights follow from (seed, architecture, run), whatever it is trained on.

    Args:
        architecture: of the network.
        source: what it is trained on.
        training: the schedule.
        spec: facts about the data.
        seed: of weights, order and augmentation.
        run: tells networks of one seed apart.
        precision: as in `ddcore.training.fit`.
        watch: takes the new network. Returns what is called after each of its updates (see
            `ddcore.training.fit`).
        validate: as in `ddcore.training.fit`.
    """
    label = architecture_label(architecture)
    device = source.batch_of(torch.zeros(1, dtype=torch.int64)).inputs.device
    if source.initial is None:
        drawn = derive_seed(seed, "weights", label, run)
        network = architecture.build(spec.shape, spec.num_classes, seed=drawn, dtype=dtype_of(precision)).to(device)
    else:
        source.initial.require(architecture)
        network = source.initial.network(spec, dtype_of(precision)).to(device)
    fit(
        network,
        source.batch_of,
        source.size,
        training,
        generator=generator(seed, "training", label, run),
        recipe=source.recipe,
        members=source.members,
        precision=precision,
        watch=None if watch is None else watch(network),
        validate=validate,
        feed=source.feed,
    )
    return network


def _validation(target: TargetData, device: torch.device, precision: str) -> Callable[[Network], float]:
    """Return the function that scores a network on the validation split."""
    split, task = held_out_split(target, "validation"), target.spec.task
    there = Split(placed(split.inputs, device), split.targets)

    def score(network: Network) -> float:
        with autocast(precision, device):
            outputs = predict(network, there, target.spec, device)
        return task.main_score(outputs, split.targets)

    return score


def predict(network: Network, split: Split, spec: Spec, device: torch.device, *, batch_size: int = 128) -> Tensor:
    """Return what the task needs of all examples' logits, on the CPU.

    Of classes it is the logits themselves, ``n x num_classes``.
    """
    network.eval()
    return measured(network, split, spec, device, next(network.parameters()).dtype, lot=batch_size)


def _learned(
    learner: Learner, source: TrainingSource, held_out: Split, target: TargetData, device: torch.device, seed: int
) -> Tensor:
    validation, validate = target.validation, None
    if validation is not None and len(validation):
        validate = partial(scored, split=validation, spec=target.spec, device=device)
    predict = learner.fit(source.batch_of(torch.arange(source.size)), target.spec, seed, validate)
    return measured(predict, held_out, target.spec, device)


def _fitting(chosen: Architecture | Learner, spec: Spec) -> Architecture | Learner:
    if isinstance(chosen, Architecture):
        require_fitting(chosen, spec)
        return suited_architecture(chosen, spec)
    if chosen.modality not in (None, spec.modality):
        raise UnsupportedError(f"{chosen.name} is for {chosen.modality}, the data are {spec.modality}")
    return chosen


def _suited(protocol: Protocol, summary: DataSummary | TargetData, target: TargetData) -> Augmentation:
    """Return the protocol's augmentation without what does not suit the summary or the target."""
    return suited_augmentation(suited_augmentation(protocol.training.augmentation, summary.spec), target.spec)
