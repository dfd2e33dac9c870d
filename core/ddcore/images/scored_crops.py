"""Crops of real images that a teacher finds easiest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcore.errors import TeacherError, UnsupportedError
from ddcore.images.augmentation import RandomResizedCrop
from ddcore.images.spec import ImageSpec
from ddcore.labels import mean_logits
from ddcore.parts import Batch, CoresetRule, Network, Pool
from ddcore.settings import require_counts
from ddcore.training import Teacher, require_teachers

LOT = 256


@dataclass(frozen=True)
class ScoredCrops(CoresetRule):
    """Of each candidate image the crop that a teacher takes most surely for its class.

    Candidates are drawn from each class, and ``crops`` parts of each of them. A part is resampled
    to full size and scored by the cross-entropy of its class: the mean of several teachers'
    logits. Each candidate keeps its best part. The class keeps the parts with the lowest scores,
    lowest first. More parts than candidates are never asked for: a class has as many candidates as
    parts at least.

    As indices (`select`), the image that a part is of stands for it.

    Attributes:
        teachers: one at least when a run starts.
        candidates: images per class.
        crops: parts per image.
        smallest: the smallest area of a part, as a share of the image. Parts are square.

    Source: Sun et al. 2024 (arXiv:2312.03526), section 3. There a part that will be a tile of a
    mosaic is scored small, with zeros around it.
    """

    teachers: tuple[Teacher, ...] = ()
    candidates: int = 300
    crops: int = 5
    smallest: float = 0.08
    name: ClassVar[str] = "scored_crops"

    def __post_init__(self) -> None:
        require_counts(candidates=self.candidates, crops=self.crops)
        self._crop()

    def _crop(self) -> RandomResizedCrop:
        return RandomResizedCrop(scale=(self.smallest, 1.0), ratio=(1.0, 1.0), mirror=0.0)

    def select(self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Tensor]:
        return {c: indices for c, (indices, _) in self._best(pool, counts, generator).items()}

    def examples(
        self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator, dtype: torch.dtype
    ) -> dict[int, Batch]:
        best = self._best(pool, counts, generator)
        return {c: Batch(parts.to("cpu", dtype), pool.split.targets[indices]) for c, (indices, parts) in best.items()}

    def _best(
        self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator
    ) -> dict[int, tuple[Tensor, Tensor]]:
        """Return, per class id, the images and the normalised parts that are kept."""
        require_teachers(self.teachers, pool.spec)
        if not isinstance(pool.spec, ImageSpec):
            raise UnsupportedError(f"parts of images are scored; the data are {pool.spec.modality}")
        networks = [teacher.network(pool.device, torch.float32) for teacher in self.teachers]
        found = {}
        for class_id, count in counts.items():
            members = pool.members(class_id)
            drawn = members[torch.randperm(len(members), generator=generator)[: max(self.candidates, count)]]
            lots = [self._scored(pool, networks, lot, generator) for lot in drawn.split(LOT)]
            scores, parts = (torch.cat(column) for column in zip(*lots, strict=True))
            order = scores.argsort(stable=True)[:count]
            found[class_id] = (drawn[order], parts[order])
        return found

    def _scored(
        self, pool: Pool, networks: list[Network], indices: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the best score of each image, and the part that has it."""
        batch, crop = pool.batch(indices), self._crop()
        best = torch.full((len(indices),), torch.inf)
        parts = batch.inputs.cpu().clone()
        for _ in range(self.crops):
            part = crop.draw(generator, len(indices))(batch).inputs
            scores = F.cross_entropy(mean_logits(networks, part), batch.targets, reduction="none").cpu()
            better = scores < best
            best, parts[better] = torch.where(better, scores, best), part.cpu()[better]
        if not bool(torch.isfinite(best).all()):
            raise TeacherError("the teacher gives logits that are not finite: train it anew")
        return best, parts
