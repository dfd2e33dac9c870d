"""`PictureMemory`: real images in PNG or JPEG files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import ddcore as dd
from ddapps.continual.budget import Key, MemoryBudget
from ddapps.continual.memory import Kept, Memory, Tasks, examples_of, keys_of, require_when_short
from ddapps.continual.real import as_bytes, as_summary
from ddcore.errors import BudgetError, UnknownNameError, UnsupportedError
from ddcore.ground import generator
from ddcore.parts import largest_size
from ddcore.settings import require

FORMATS = ("png", "jpeg")
HIGHEST = 60_000
"""Rows of pixels of a file; images beyond go into a further column. JPEG allows 65 535."""


@dataclass(frozen=True)
class KeptFile(Kept):
    """Images in one file.

    Attributes:
        file: its bytes. The summary is what they decode to.
    """

    file: bytes = b""

    @property
    def stored_bytes(self) -> int:
        return len(self.file) + self.summary.spec.targets_bytes(len(self.summary))


class PictureMemory(Memory):
    """Real images, drawn at random within each class, in one file for each experience.

    As many of each class as the bytes hold, measured by writing them. Images stand below each other
    in the file, so that its header is paid once; class ids are counted beside it. Where a share
    shrinks, the file is decoded and the first images of each class are written again.

    Args:
        memory: see `MemoryBudget.parse`; examples count as the bytes of as many real images.
        format: ``png``, which loses nothing, or ``jpeg``.
        quality: of JPEG, 1 to 95.
        when_short: see `Memory`.
        seed: of the draws.
    """

    def __init__(
        self,
        memory: int | str | dd.Budget | MemoryBudget = "10-per-class",
        *,
        format: str = "png",
        quality: int = 75,
        when_short: str = "keep",
        seed: int = 0,
    ) -> None:
        if format not in FORMATS:
            raise UnknownNameError("format", format, FORMATS)
        require(1 <= quality <= 95, f"the quality of JPEG lies in 1..95, not {quality}")
        self.budget, self.when_short = MemoryBudget.parse(memory), require_when_short(when_short)
        self._format, self._quality, self._seed = format, quality, seed

    @property
    def name(self) -> str:
        return self._format

    def settings(self) -> dict[str, Any]:
        quality = self._quality if self._format == "jpeg" else None
        return {"format": self._format, "quality": quality, "when_short": self.when_short, "seed": self._seed}

    def observe(self, data: dd.TargetData | Tasks, model: nn.Module | None = None) -> None:
        first = data if isinstance(data, dd.TargetData) else data[0][1]
        self.budget = self.budget.in_bytes(first.spec)
        super().observe(data, model)

    def after(self, tasks: Tasks, model: nn.Module | None = None) -> tuple[Kept, ...]:
        return self._within(self.budget, tasks)

    def resize(self, memory: int | str | dd.Budget | MemoryBudget, model: nn.Module | None = None) -> None:
        budget = MemoryBudget.parse(memory)
        if self.kept:
            budget = budget.in_bytes(self.kept[0].summary.spec)
        self.kept = self._within(budget, [])
        self.budget = budget

    def _within(self, budget: MemoryBudget, tasks: Tasks) -> tuple[Kept, ...]:
        keys = [keys_of([one]) for one in tasks]
        allowances = budget.allowances([*(one.keys for one in self.kept), *keys])
        kept: list[Kept] = []
        for one, allowance in zip(self.kept, allowances, strict=False):
            if one.stored_bytes > sum(allowance.values()):
                images = {c: _of_class(examples_of(one.summary), c) for c in one.summary.counts}
                one = self._written(images, one.summary.spec, allowance, one.experience, one.task)
            kept.append(one)
        for (task, target), allowance in zip(tasks, allowances[len(self.kept) :], strict=True):
            shuffled = {}
            for _, class_id in keys_of([(task, target)]):
                found = _of_class(target, class_id)
                draw = generator(self._seed, "pictures", self.experiences, task, class_id)
                shuffled[class_id] = found[torch.randperm(len(found), generator=draw)]
            kept.append(self._written(shuffled, target.spec, allowance, self.experiences, task))
        return tuple(kept)

    def _written(
        self, images: Mapping[int, Tensor], spec: dd.Spec, allowance: Mapping[Key, int], experience: int, task: int
    ) -> KeptFile:
        """Return the first images of each class, as many as fit."""
        allowed = sum(allowance.values())

        def file_of(count: int) -> tuple[bytes, list[Tensor]]:
            first = [found[:count] for found in images.values()]
            return encoded(torch.cat(first), self._format, self._quality), first

        def size(count: int) -> int:
            file, first = file_of(count)
            return len(file) + spec.targets_bytes(sum(map(len, first)))

        count = largest_size(lambda n: size(n) <= allowed, max(map(len, images.values())))
        if count == 0:
            raise BudgetError(
                f"a memory of {self.budget} leaves {allowed} bytes for {len(images)} classes, one image of each takes {size(1)} as "
                f"{self._format}: give more memory"
            )
        file, first = file_of(count)
        pixels = decoded(file, sum(map(len, first)), spec.shape)
        parts = dict(zip(images, pixels.split([len(found) for found in first]), strict=True))
        return KeptFile(as_summary(parts, spec, self.name), experience, task, file)


def encoded(images: Tensor, format: str, quality: int = 75) -> bytes:
    """Return images, ``n x channels x height x width`` bytes, as one file.

    Raises:
        UnsupportedError: they have neither one channel nor three.
    """
    n, channels, height, width = images.shape
    if channels not in (1, 3):
        raise UnsupportedError(f"a {format} file holds images of 1 or 3 channels, not {channels}")
    rows, columns = _sides(n, height)
    cells = torch.zeros((rows * columns, channels, height, width), dtype=torch.uint8)
    cells[:n] = images
    sheet = cells.unflatten(0, (columns, rows)).permute(1, 3, 0, 4, 2).reshape(rows * height, columns * width, channels)
    picture = Image.fromarray(sheet.squeeze(-1).numpy())
    file = io.BytesIO()
    picture.save(file, format.upper(), optimize=True, **({"quality": quality} if format == "jpeg" else {}))
    return file.getvalue()


def decoded(file: bytes, count: int, shape: Sequence[int]) -> Tensor:
    """Return the images of a file of `encoded`, as bytes of ``count x shape``."""
    channels, height, width = shape
    with Image.open(io.BytesIO(file)) as picture:
        sheet = torch.from_numpy(np.asarray(picture).copy())
    rows, columns = _sides(count, height)
    cells = sheet.reshape(rows, height, columns, width, channels).permute(2, 0, 4, 1, 3)
    return cells.reshape(-1, channels, height, width)[:count]


def _sides(count: int, height: int) -> tuple[int, int]:
    """Return how many images stand below, and beside, each other."""
    columns = -(-count // max(1, HIGHEST // height))
    return -(-count // columns), columns


def _of_class(data: dd.TargetData, class_id: int) -> Tensor:
    return as_bytes(data.train.of_classes([class_id]).inputs)
