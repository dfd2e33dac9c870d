"""Real images in a memory: as a summary, and chosen as GDumb does."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

import ddcore as dd
from ddapps.continual.budget import Key, MemoryBudget
from ddapps.continual.memory import Kept, Memory, Tasks, examples_of
from ddcore.errors import BudgetError
from ddcore.ground import derive_seed, generator
from ddcore.parts import Split
from ddcore.summary import original_bytes


def as_data(pixels: Tensor, owners: Tensor, spec: dd.Spec) -> dd.TargetData:
    """Return images and their class ids as data of these classes alone."""
    classes = tuple(sorted(set(owners.tolist())))
    kept = dd.override(dd.override(spec, "classes", classes), "read_from_examples", ())
    return dd.TargetData("memory", kept, Split(pixels, owners))


def as_bytes(pixels: Tensor) -> Tensor:
    """Return pixels in [0, 1], or bytes, as bytes."""
    return pixels if pixels.dtype == torch.uint8 else (255 * pixels).round().to(torch.uint8)


def as_summary(images: Mapping[int, Tensor], spec: dd.Spec, name: str, cites: Sequence[str] = ()) -> dd.DataSummary:
    """Return images by class id, in a byte per pixel, as a summary by the method ``name``."""
    kept = dict(sorted(images.items()))
    owners = torch.tensor([class_id for class_id, found in kept.items() for _ in found])
    data = as_data(torch.cat(list(kept.values())), owners, spec)
    everything = dd.methods.random(ipc={class_id: len(found) for class_id, found in kept.items()})
    summary = dd.distill(data, everything, device="cpu")
    return replace(summary, record={**summary.record, "method": {"name": name}, "cites": list(cites)})


class GreedyMemory(Memory):
    """Real images, chosen greedily so that classes are balanced (Prabhu et al. 2020, GDumb).

    Examples come in random order. One is taken if its class has fewer than an equal share of the
    memory; where the memory is full, one of the largest class is dropped for it. All of the memory
    is used from the first experience on. `CompressThenRecall` with it is GDumb: a network that is
    trained on the memory alone, from new weights.

    Args:
        memory: see `MemoryBudget.parse`; bytes are those of images in a byte per pixel.
        seed: of order and draws.

    Source: Prabhu et al. 2020, algorithm 1 (ECCV, "GDumb").
    """

    def __init__(self, memory: int | str | dd.Budget | MemoryBudget = 100, *, seed: int = 0) -> None:
        self.budget, self._seed = MemoryBudget.parse(memory), seed

    @property
    def name(self) -> str:
        return "gdumb"

    def settings(self) -> dict[str, Any]:
        return {"seed": self._seed}

    def after(self, tasks: Tasks, model: nn.Module | None = None) -> tuple[Kept, ...]:
        images, specs = self._images()
        draws = random.Random(derive_seed(self._seed, "gdumb", self.experiences))
        for task, target in tasks:
            specs[task] = target.spec
            pixels, labels = as_bytes(target.train.inputs), target.train.targets.tolist()
            order = torch.randperm(len(labels), generator=generator(self._seed, "gdumb-order", self.experiences, task))
            for place in order.tolist():
                self._offer(images, (task, labels[place]), pixels[place], target.spec, draws)
        return self._kept(images, specs)

    def resize(self, memory: int | str | dd.Budget | MemoryBudget, model: nn.Module | None = None) -> None:
        budget = MemoryBudget.parse(memory)
        images, specs = self._images()
        draws = random.Random(derive_seed(self._seed, "gdumb-resized", self.experiences))
        if images:
            room = _room(budget, list(images), next(iter(specs.values())))
            while sum(map(len, images.values())) > room:
                _drop(images, draws)
        self.budget, self.kept = budget, self._kept(images, specs)

    def _offer(
        self, images: dict[Key, list[Tensor]], key: Key, image: Tensor, spec: dd.Spec, draws: random.Random
    ) -> None:
        held = images.setdefault(key, [])
        room = _room(self.budget, list(images), spec)
        if len(held) < room / len(images):
            if sum(map(len, images.values())) >= room:
                _drop(images, draws)
            held.append(image)

    def _images(self) -> tuple[dict[Key, list[Tensor]], dict[int, dd.Spec]]:
        found: dict[Key, list[Tensor]] = {}
        for one in self.kept:
            split = examples_of(one.summary).train
            for class_id in one.summary.counts:
                found[one.task, class_id] = list(as_bytes(split.of_classes([class_id]).inputs))
        return found, {one.task: one.summary.spec for one in self.kept}

    def _kept(self, images: Mapping[Key, list[Tensor]], specs: Mapping[int, dd.Spec]) -> tuple[Kept, ...]:
        found = []
        for task, spec in specs.items():
            mine = {c: torch.stack(held) for (of, c), held in images.items() if of == task and held}
            if mine:
                found.append(Kept(as_summary(mine, spec, self.name, ("gdumb",)), self.experiences, task))
        return tuple(found)


def _room(budget: MemoryBudget, keys: Sequence[Key], spec: dd.Spec) -> int:
    """Return how many images a memory of these classes holds."""
    amount = sum(budget.shares(keys).values())
    image = original_bytes(spec, 1) if budget.unit == "bytes" else 1
    if amount < image:
        raise BudgetError(f"a memory of {budget} does not hold one image, which takes {image} bytes: give more memory")
    return amount // image


def _drop(images: Mapping[Key, list[Tensor]], draws: random.Random) -> None:
    """Drop an image of a largest class."""
    most = max(map(len, images.values()))
    largest = draws.choice([key for key, held in images.items() if len(held) == most])
    images[largest].pop(draws.randrange(most))
