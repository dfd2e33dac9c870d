"""Labels that teachers give."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ddcore.errors import BudgetError, UnknownNameError, UnsupportedError
from ddcore.ground.devices import fitting_micro_batch
from ddcore.ground.tensorfile import MAX_FILE
from ddcore.labels.by_teachers import TeacherLabels, mean_logits
from ddcore.labels.checks import MAX_TEACHERS
from ddcore.labels.logits import LogitStorage
from ddcore.labels.per_view import MAX_EPOCHS, ViewLabels, Views
from ddcore.labels.soft import SoftLabels
from ddcore.parts import (
    Augmentation,
    Batch,
    Labelling,
    Labels,
    Network,
    Spec,
    UsualAugmentation,
    largest_size,
    suited_augmentation,
    taken,
)
from ddcore.parts.recipe import MAX_TEMPERATURE
from ddcore.settings import require, require_counts, settings_from_text
from ddcore.training import Teacher, require_teachers

KINDS = ("soft", "soft-per-view", "teacher")


@dataclass(frozen=True)
class TeacherLabelling(Labelling):
    r"""Examples get the mean of the teachers' logits, at temperature :math:`T`.

    Attributes:
        kind: ``soft``: one label per example, as it is. ``soft-per-view``: one per augmented view
            of some epochs. ``teacher``: the teachers are stored, and label each view when it is
            trained on.
        teachers: one at least when labels are made.
        temperature: :math:`T`.
        storage, top: of logits (`LogitStorage`).
        epochs: of ``soft-per-view``: distinct epochs whose labels are stored. A longer training
            goes through them again.
        batch_size, augmentation: of ``soft-per-view``: those of the training that it is for.
        bytes: the most that labels may take. Of ``soft-per-view`` fewer epochs are then stored.

    Source: Hinton et al. 2015 (arXiv:1503.02531); Shen & Xing 2022 (arXiv:2112.01528) for labels
    per view; Xiao & He 2024 (arXiv:2410.15919) for keeping few of them.
    """

    kind: str = "soft"
    teachers: tuple[Teacher, ...] = ()
    temperature: float = 4.0
    storage: str = "fp16"
    top: int | None = None
    epochs: int = 300
    batch_size: int = 100
    augmentation: Augmentation = field(default_factory=UsualAugmentation)
    bytes: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("kind of labels", self.kind, KINDS)
        require(
            0 < self.temperature <= MAX_TEMPERATURE and len(self.teachers) <= MAX_TEACHERS,
            f"a temperature lies in (0, {MAX_TEMPERATURE:g}], and teachers are {MAX_TEACHERS} at most; they are "
            f"{self.temperature} and {len(self.teachers)}",
        )
        require(self.epochs <= MAX_EPOCHS, f"epochs are {MAX_EPOCHS} at most, not {self.epochs}")
        require_counts(epochs=self.epochs, batch_size=self.batch_size, bytes=1 if self.bytes is None else self.bytes)
        self._stored_as()

    def _stored_as(self) -> LogitStorage:
        return LogitStorage(self.storage, self.top)

    def kinds(self) -> tuple[str, ...]:
        return ("teacher", "soft-per-view") if self.kind == "teacher" else (self.kind,)

    def max_bytes(self, count: int, spec: Spec) -> int:
        if self.kind == "teacher":
            stored = sum(teacher.nbytes for teacher in self.teachers)
            self._require(stored)
            return stored
        return self._stored_as().nbytes(self._epochs_for(count, spec) * count, spec.num_classes)

    def _epochs_for(self, count: int, spec: Spec) -> int:
        """Return how many epochs of labels the bytes allow."""

        def nbytes(epochs: int) -> int:
            return self._stored_as().nbytes(epochs * count, spec.num_classes)

        self._require(nbytes(1))
        most = self.epochs if self.kind == "soft-per-view" else 1
        limit = self.bytes
        return most if limit is None else largest_size(lambda epochs: nbytes(epochs) <= limit, most)

    def _require(self, least: int) -> None:
        if self.bytes is not None and least > self.bytes:
            raise BudgetError(
                f"{self.bytes} bytes do not hold labels of kind {self.kind!r}: {least} are the least with these settings"
            )

    def check(self, count: int, spec: Spec) -> None:
        require_teachers(self.teachers, spec)
        if spec.task.numeric or spec.connected:
            raise UnsupportedError("a teacher labels examples that have a class each, one without the others")
        if self.kind == "teacher" and any(teacher.architecture is None for teacher in self.teachers):
            raise UnsupportedError("a teacher of a module of your own cannot be stored: take soft-per-view labels")
        if self.max_bytes(count, spec) > MAX_FILE:
            raise BudgetError(
                f"{self.max_bytes(count, spec)} bytes of labels are more than a summary may hold ({MAX_FILE}): say bytes=, fewer "
                "epochs, top= or fewer bits; or let the teacher label (kind='teacher')"
            )

    def label(self, examples: Batch, spec: Spec, *, seed: int) -> Labels:
        count, device = len(examples.targets), examples.inputs.device
        self.check(count, spec)
        if self.kind == "teacher":
            return TeacherLabels(self.teachers, self.temperature)
        networks = [teacher.network(device, examples.inputs.dtype) for teacher in self.teachers]
        storage, makers = self._stored_as(), tuple(teacher.sha256 for teacher in self.teachers)
        if self.kind == "soft":
            packed = storage.pack(_logits(networks, examples.inputs))
            return SoftLabels(packed, storage, self.temperature, count, spec.num_classes, makers)
        views = Views(
            self._epochs_for(count, spec), self.batch_size, seed, suited_augmentation(self.augmentation, spec)
        )
        rows = [
            _logits(networks, view(taken(examples, indices)).inputs).cpu()
            for epoch in range(views.epochs)
            for indices, view in views.batches(epoch, count)
        ]
        packed = storage.pack(torch.cat(rows))
        return ViewLabels(packed, storage, self.temperature, views, count, spec.num_classes, makers)


def parse_labelling(text: str) -> TeacherLabelling:
    """Return the labels that ``text`` names, such as ``soft-per-view(epochs=10,storage=4bit)``."""
    return settings_from_text(text, {kind: TeacherLabelling(kind) for kind in KINDS}, "kind of labels")


def _logits(networks: list[Network], inputs: Tensor) -> Tensor:
    at_once = fitting_micro_batch(tuple(inputs.shape[1:]), inputs.device)
    return torch.cat([mean_logits(networks, part) for part in inputs.split(at_once)])
