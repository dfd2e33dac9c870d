"""From Avalanche's experiences to data that can be distilled, and from summaries back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute
from avalanche.benchmarks.utils.classification_dataset import (
    ClassificationDataset,
    TaskAwareSupervisedClassificationDataset,
)
from avalanche.benchmarks.utils.data_attribute import TaskLabels
from avalanche.models import MultiTaskModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import ddcore as dd
from ddapps.continual.memory import Kept
from ddapps.continual.transforms import normalisation_of
from ddcore.errors import InputDataError, UnsupportedError
from ddcore.parts import Identity, Normalisation, Split

READ_AT_ONCE = 256
ROUNDING = 1e-3
"""How far from a whole level a pixel may lie, in levels, and still be a byte."""


@dataclass(frozen=True)
class Form:
    """How a stream's dataset gives its examples; a replayed one must look alike.

    Attributes:
        with_task: whether a task label follows the class.
        tensor_targets: whether the class is a tensor instead of a number.
    """

    with_task: bool
    tensor_targets: bool

    @classmethod
    def of(cls, dataset: Any) -> Form:
        """Look at the first example, as it is for evaluation.

        Transforms for training may draw random numbers.
        """
        example = dataset.eval()[0]
        return cls(len(example) > 2, isinstance(example[1], Tensor))


@dataclass(frozen=True)
class Reader:
    """Reads experiences as pixels.

    Attributes:
        normalisation: what the dataset's transforms apply to pixels in [0, 1]; None: what is found
            in them.
        num_classes: size of the label space. None: the width of the model's output, or, where there
            is none or it has a head per task, the highest label of the experience + 1.
        mirror: whether a mirrored image keeps its class.
    """

    normalisation: Normalisation | None = None
    num_classes: int | None = None
    mirror: bool = True

    def read(
        self, experience: Any, model: nn.Module | None = None, least_classes: int = 0
    ) -> list[tuple[int, dd.TargetData]]:
        """Return task labels and the data of each.

        Args:
            experience: of Avalanche.
            model: that the strategy trains.
            least_classes: size of the label space of earlier experiences: it never shrinks.

        Raises:
            InputDataError: there is no example, examples are no images, or undoing the
                normalisation does not give pixels.
            SettingsError: a label lies outside of ``num_classes``.
        """
        dataset = experience.dataset.eval()
        if not len(dataset):
            raise InputDataError("the experience has no example")
        inputs, targets = _tensors(dataset)
        tasks = torch.tensor([int(label) for label in getattr(dataset, "targets_task_labels", [0] * len(targets))])
        normalisation = self._normalisation(dataset, inputs)
        pixels = _as_bytes(_as_pixels(normalisation, inputs))
        width = 0 if model is None else width_of(model, inputs[:2])
        num_classes = self.num_classes or max(least_classes, width, int(targets.max()) + 1)
        found = []
        for task in tasks.unique().tolist():
            members = (tasks == task).nonzero().flatten()
            split = Split(pixels[members], targets[members])
            spec = dd.images.ImageSpec(
                tuple(pixels.shape[1:]),
                num_classes,
                tuple(sorted(set(split.targets.tolist()))),
                mirror=self.mirror,
                normalisation=normalisation,
            )
            found.append((task, dd.TargetData("experience", spec, split)))
        return found

    def _normalisation(self, dataset: Any, inputs: Tensor) -> Normalisation:
        found = normalisation_of(dataset)
        if self.normalisation is not None:
            if not isinstance(found, Identity) and not found.same_as(self.normalisation):
                raise InputDataError(
                    f"the dataset's transforms apply {found}, normalisation= says {self.normalisation}: leave it out, or make them equal"
                )
            return self.normalisation
        low, high = float(inputs.min()), float(inputs.max())
        if isinstance(found, Identity) and (low < 0 or high > 1):
            raise InputDataError(
                f"images reach from {low:.3g} to {high:.3g}, and no Normalize was found in the dataset's transforms: say what was applied to "
                "pixels in [0, 1] with normalisation="
            )
        return found


def width_of(model: nn.Module, inputs: Tensor) -> int:
    """Return how many logits a model gives, 0 where there is no one number.

    The model stays as it is.

    Raises:
        UnsupportedError: it does not take such inputs.
    """
    if isinstance(model, MultiTaskModule):
        return 0
    modes = {module: module.training for module in model.modules()}
    like = next(model.parameters(), torch.empty(0))
    try:
        with torch.no_grad():
            logits = model.eval()(inputs.to(like.device, like.dtype))
    except RuntimeError as error:
        raise UnsupportedError(f"the model cannot take examples of shape {tuple(inputs.shape[1:])}: {error}") from error
    finally:
        for module, training in modes.items():
            module.training = training
    return int(logits.shape[1]) if isinstance(logits, Tensor) and logits.ndim == 2 else 0


def _tensors(dataset: Any) -> tuple[Tensor, Tensor]:
    parts = []
    # A loader draws a seed even where nothing is random. It must not come from the generator that
    # the user's script draws from.
    for batch in DataLoader(dataset, batch_size=READ_AT_ONCE, generator=torch.Generator()):
        if not isinstance(batch[0], Tensor) or batch[0].ndim != 4 or not batch[0].dtype.is_floating_point:
            raise InputDataError(
                "examples must become float tensors, channels x height x width: end the transforms with ToTensor"
            )
        parts.append((batch[0].float(), torch.as_tensor(batch[1]).long()))
    return torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts])


def _as_pixels(normalisation: Normalisation, inputs: Tensor) -> Tensor:
    pixels = normalisation.invert(inputs)
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -0.01 and high <= 1.01):
        raise InputDataError(
            f"undoing the normalisation gives pixels from {low:.3g} to {high:.3g} instead of [0, 1]: are the images normalised twice, or by "
            "another normalisation than normalisation= says?"
        )
    return pixels.clamp(0, 1)


def _as_bytes(pixels: Tensor) -> Tensor:
    """Return pixels as the bytes that they were, unless they were none."""
    levels = pixels * 255
    whole = levels.round()
    return whole.to(torch.uint8) if float((levels - whole).abs().max()) < ROUNDING else pixels


class _Exemplars(Dataset[tuple[Tensor, Any]]):
    """Examples in normalised space: no transform is to be applied to them."""

    def __init__(self, inputs: Tensor, targets: Tensor, form: Form) -> None:
        self._inputs, self._targets = inputs, targets if form.tensor_targets else targets.tolist()

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, Any]:
        return self._inputs[index], self._targets[index]


def exemplars(kept: Sequence[Kept], form: Form) -> AvalancheDataset:
    """Return the decoded examples of summaries with hard labels, without transforms."""
    if not kept:
        return AvalancheDataset([])
    inputs, targets = (torch.cat(parts) for parts in zip(*(one.summary.tensors() for one in kept), strict=True))
    return dataset_of(inputs, targets, [one.task for one in kept for _ in range(len(one.summary))], form)


def dataset_of(inputs: Tensor, targets: Tensor, tasks: Sequence[int], form: Form) -> AvalancheDataset:
    """Return normalised examples, class ids and task labels as an Avalanche dataset.

    It has no transforms.
    """
    attributes = [DataAttribute(targets.tolist(), "targets")]
    examples = _Exemplars(inputs, targets, form)
    if not form.with_task:
        return ClassificationDataset([examples], data_attributes=attributes)
    return TaskAwareSupervisedClassificationDataset([examples], data_attributes=[*attributes, TaskLabels(list(tasks))])
