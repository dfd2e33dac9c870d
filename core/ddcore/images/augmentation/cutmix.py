"""CutMix: a rectangle of each image comes from another one, and the labels are mixed by area."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcore.errors import UnsupportedError
from ddcore.ground.devices import to_device
from ddcore.images.spec import ImageSpec
from ddcore.parts import Augmentation, Batch, NoAugmentation, Spec, Unchanged, View
from ddcore.settings import require


@dataclass(frozen=True)
class CutMix(Augmentation):
    r"""With some probability, paste one rectangle of a shuffled batch into the batch.

    The rectangle's sides are :math:`\sqrt{1 - \lambda}` of the image's, :math:`\lambda` uniform.
    Its centre is uniform. Labels become distributions, weighted by the areas that are left after
    clipping at the border.

    Attributes:
        probability: of mixing a batch at all.
        num_classes: of the labels; taken from the data by `suited_to`.

    Source: Yun et al. 2019 (arXiv:1905.04899).
    """

    probability: float = 0.5
    num_classes: int = 0
    modality: ClassVar[str | None] = "images"

    def __post_init__(self) -> None:
        require(0 <= self.probability <= 1, f"a probability lies in [0, 1], not {self.probability}")

    @property
    def mixes_examples(self) -> bool:
        return True

    def suited_to(self, spec: Spec) -> Augmentation:
        return replace(self, num_classes=spec.num_classes) if isinstance(spec, ImageSpec) else NoAugmentation()

    def draw(self, generator: torch.Generator, count: int | None = None) -> View:
        if count is None:
            raise UnsupportedError(
                "CutMix mixes the examples of one batch: it has no draw that two batches could share"
            )
        mixes, share, x, y = torch.rand(4, generator=generator).tolist()
        partners = torch.randperm(count, generator=generator)
        if mixes >= self.probability:
            return Unchanged()
        return _CutMixView(partners, (1 - share) ** 0.5, (y, x), self.num_classes)


@dataclass(frozen=True)
class _CutMixView(View):
    partners: Tensor
    side: float
    centre: tuple[float, float]
    num_classes: int

    def __call__(self, batch: Batch) -> Batch:
        inputs, partners = batch.inputs, to_device(self.partners, batch.inputs.device)
        spans = [self._span(size, at) for size, at in zip(inputs.shape[2:], self.centre, strict=True)]
        inside = torch.zeros(inputs.shape[2:], dtype=torch.bool, device=inputs.device)
        inside[spans[0], spans[1]] = True
        pasted = math.prod(span.stop - span.start for span in spans) / math.prod(inputs.shape[2:])
        targets = batch.targets
        if targets.ndim == 1:
            targets = F.one_hot(targets, self.num_classes).to(inputs.dtype)
        mixed = torch.where(inside, inputs[partners], inputs)
        return replace(batch, inputs=mixed, targets=(1 - pasted) * targets + pasted * targets[partners])

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.partners,)

    def _span(self, size: int, at: float) -> slice:
        half, middle = int(size * self.side) // 2, int(size * at)
        return slice(max(0, middle - half), min(size, middle + half))
