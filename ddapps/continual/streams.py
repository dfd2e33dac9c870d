"""Target data as Avalanche benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from avalanche.benchmarks import CLScenario, benchmark_from_datasets, with_task_labels

import ddcore as dd
from ddapps.continual.experiences import Form, dataset_of
from ddcore.evaluation import held_out_split
from ddcore.ground import generator
from ddcore.parts import Split


def benchmark(parts: Sequence[dd.TargetData], *, task_labels: bool = False, split: str = "test") -> CLScenario:
    """Return a benchmark with an experience for each part.

    It is class-incremental or, where parts have the same classes, domain-incremental.

    Examples are normalised already, without transforms: give a buffer
    ``normalisation=parts[0].spec.normalisation``.

    Args:
        parts: the data of each experience; see `ddcore.data.partitions`.
        task_labels: whether experiences have task labels 0, 1, ... (task-incremental); else all
            have 0.
        split: what the stream ``test`` is made of: ``test`` or ``validation``.
    """
    held_out = [held_out_split(part, split) for part in parts]

    def stream(splits: Sequence[Split]) -> list[object]:
        apply, form = parts[0].spec.normalisation.apply, Form(with_task=True, tensor_targets=False)
        labels = [index if task_labels else 0 for index in range(len(splits))]
        return [
            dataset_of(apply(one.inputs), one.targets, [task] * len(one), form)
            for one, task in zip(splits, labels, strict=True)
        ]

    plain = benchmark_from_datasets(train=stream([part.train for part in parts]), test=stream(held_out))
    made = with_task_labels(plain)
    for experience in (one for each in made.streams.values() for one in each):
        # What Avalanche's own decorator sets is a set, which its heads per task do not take.
        experience.classes_in_this_experience = sorted(experience.dataset.targets.uniques)
    return made


def class_incremental(target: dd.TargetData, tasks: int, *, seed: int = 0) -> list[dd.TargetData]:
    """Cut the classes, in an order drawn from ``seed``, into ``tasks`` groups."""
    classes = torch.tensor(target.spec.classes)
    order = classes[torch.randperm(len(classes), generator=generator(seed, "class-order"))]
    return dd.data.partitions.by_class(target, tasks, order=order.tolist())
