"""`CondensedMemory`: real examples, condensed in pairs, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from avalanche.models import MultiTaskModule
from torch import Tensor, nn

import ddcore as dd
from ddapps.continual.budget import Key, MemoryBudget
from ddapps.continual.memory import Kept, Memory, Tasks, chunks, examples_of, require_when_short
from ddapps.continual.mixtures import PairMixtures
from ddapps.continual.real import as_bytes, as_data, as_summary
from ddapps.continual.store import Store
from ddcore.ground import derive_seed, generator
from ddcore.matching import GradientMatching
from ddcore.parts import Factory, as_architecture
from ddcore.settings import describe, require_counts
from ddcore.sources import TrainedOnSynthetic
from ddcore.summary import original_bytes


class CondensedMemory(Memory):
    """Real examples, condensed in pairs where there is no room (Sangermano et al. 2022).

    Examples come in batches. While a class has room they are kept as they are. When it is full, it
    is condensed every ``every`` batches. As many of its examples as there are new ones are then
    paired with them at random. Each pair becomes one mixture whose weights match the gradients of
    both. When a class is new, the others make room: they are condensed until each class has an
    equal share. Only the memory and one batch are ever looked at.

    Args:
        memory: see `MemoryBudget.parse`; bytes are those of images in a byte per pixel.
        batch_size: examples that come together.
        every: batches between two condensations of full classes. New examples of other batches are
            not kept.
        steps: of matching, in one condensation.
        inner: epochs on the mixtures that the network takes between two steps.
        when_short: see `Memory`.
        network: matched on. Default: the model that is being trained; where it has a head per task,
            a narrow ConvNet.
        seed: of all random numbers.
        device: as in ``ddcore.distill``.
        directory: where the memory is written after every experience, and found again, whatever the
            model is then.
    """

    def __init__(
        self,
        memory: int | str | dd.Budget | MemoryBudget = 100,
        *,
        batch_size: int = 10,
        every: int = 5,
        steps: int = 20,
        inner: int = 3,
        when_short: str = "keep",
        network: object = None,
        seed: int = 0,
        device: str | torch.device = "auto",
        directory: str | Path | None = None,
    ) -> None:
        require_counts(batch_size=batch_size, every=every, steps=steps, inner=inner)
        self.budget, self.when_short = MemoryBudget.parse(memory), require_when_short(when_short)
        self.store = None if directory is None else Store(Path(directory))
        self._sizes = {"batch_size": batch_size, "every": every, "steps": steps, "inner": inner}
        self._architecture = None if network is None else as_architecture(network)
        self._seed, self._device = seed, device
        self._batches = 0

    @property
    def name(self) -> str:
        return "sample condensation"

    def settings(self) -> dict[str, Any]:
        return {
            **self._sizes,
            "network": describe(self._architecture),
            "seed": self._seed,
            "when_short": self.when_short,
        }

    def resize(self, memory: int | str | dd.Budget | MemoryBudget, model: nn.Module | None = None) -> None:
        budget = MemoryBudget.parse(memory)
        room = _Room(self, budget, self.kept, model)
        room.make(list(room.images))
        self.budget, self.kept = budget, room.kept(self.experiences)

    def after(self, tasks: Tasks, model: nn.Module | None) -> tuple[Kept, ...]:
        room, batches = _Room(self, self.budget, self.kept, model), self._batches
        for task, target in tasks:
            for batch in chunks(target, self._sizes["batch_size"]):
                batches += 1
                room.take(task, batch, condense=batches % self._sizes["every"] == 0)
        return room.kept(self.experiences)

    def count(self, tasks: Tasks) -> None:
        for _, target in tasks:
            self._batches += -(-len(target.train) // self._sizes["batch_size"])

    def method(self, counts: Mapping[int, int], model: nn.Module | None) -> dd.Method:
        """Return how pairs become mixtures: gradient matching of the mixing weights.

        The network that is matched on learns from the mixtures.
        """
        architecture = self._architecture
        if architecture is None:
            if model is None or isinstance(model, MultiTaskModule):
                architecture = as_architecture("convnet(width=32)")
            else:
                present = deepcopy(model).cpu()
                architecture = Factory(lambda: deepcopy(present))
        return dd.Method(
            name="sample_condensation",
            cites=("sample_condensation", "dc"),
            factorization=PairMixtures(ipc=dict(counts)),
            matching=GradientMatching(distance="cosine"),
            networks=TrainedOnSynthetic(
                architecture, outer=self._sizes["steps"], inner=self._sizes["inner"], learning_rate=0.1
            ),
            optimiser=dd.Optimiser("sgd", learning_rate=0.01, momentum=0.5),
            steps=self._sizes["steps"],
        )

    def condensed(
        self, images: Mapping[Key, Tensor], counts: Mapping[Key, int], spec: dd.Spec, model: nn.Module | None, turn: int
    ) -> dict[Key, Tensor]:
        """Return ``counts`` mixtures of each class, of the pairs that its images make."""
        (task,) = {key[0] for key in images}
        pixels = torch.cat(list(images.values()))
        owners = torch.tensor([class_id for (_, class_id), found in images.items() for _ in found])
        data = as_data(pixels, owners, spec)
        seed = derive_seed(self._seed, "condensation", self.experiences, turn)
        method = self.method({class_id: counts[task, class_id] for _, class_id in images}, model)
        made = examples_of(dd.distill(data, method, seed=seed, device=self._device)).train
        return {(task, c): as_bytes(made.of_classes([c]).inputs) for _, c in images}

    def draw(self, count: int, *key: int) -> Tensor:
        """Return a permutation."""
        return torch.randperm(count, generator=generator(self._seed, "condensation", self.experiences, *key))


class _Room:
    """The images of a memory while experiences are taken in."""

    def __init__(
        self, memory: CondensedMemory, budget: MemoryBudget, kept: tuple[Kept, ...], model: nn.Module | None
    ) -> None:
        self._memory, self._budget, self._model = memory, budget, model
        self._before = {one.task: one for one in kept}
        self.specs = {one.task: one.summary.spec for one in kept}
        self.images: dict[Key, Tensor] = {}
        for one in kept:
            split = examples_of(one.summary).train
            for class_id in one.summary.counts:
                self.images[one.task, class_id] = as_bytes(split.of_classes([class_id]).inputs)
        self._turn = 0
        self._taken: set[int] = set()

    def take(self, task: int, batch: dd.TargetData, *, condense: bool) -> None:
        """Take in a batch.

        New classes and classes with room keep examples as they are. Full ones are condensed with
        them, or stay.
        """
        self.specs[task] = batch.spec
        self._taken.add(task)
        classes = batch.train.targets.unique().tolist()
        new = [(task, c) for c in classes if (task, c) not in self.images]
        shares = self._shares([*self.images, *new], batch.spec)
        if new:
            self.make([*self.images, *new])
        full: dict[Key, Tensor] = {}
        for key in [(task, c) for c in classes]:
            found = as_bytes(batch.train.of_classes([key[1]]).inputs)
            held = self.images.get(key, found[:0])
            room = max(shares[key] - len(held), 0)
            self.images[key] = torch.cat([held, found[:room]])
            if len(found) > room:
                full[key] = found[room:]
        if condense and full and not new:
            self._mix(full, batch.spec)

    def _mix(self, found: Mapping[Key, Tensor], spec: dd.Spec) -> None:
        """Let new images take part in full classes.

        They and as many old ones become mixtures, in the place of the old ones.
        """
        self._turn += 1
        pairs, rest, counts = {}, {}, {}
        for key, images in found.items():
            held = self.images[key]
            held = held[self._memory.draw(len(held), self._turn, *key)]
            counts[key] = n = min(len(held), len(images))
            pairs[key], rest[key] = torch.cat([held[:n], images[:n]]), held[n:]
        for key, mixed in self._memory.condensed(pairs, counts, spec, self._model, self._turn).items():
            self.images[key] = torch.cat([rest[key], mixed])

    def make(self, keys: list[Key]) -> None:
        """Condense classes, pair by pair, until each has no more than its share among them."""
        for key in list(self.images):
            spec = self.specs[key[0]]
            share = self._shares(keys, spec)[key]
            while len(self.images[key]) > share:
                self._turn += 1
                held = self.images[key]
                held = held[self._memory.draw(len(held), self._turn, *key)]
                n = min(len(held) - share, len(held) // 2)
                mixed = self._memory.condensed({key: held[: 2 * n]}, {key: n}, spec, self._model, self._turn)
                self.images[key] = torch.cat([held[2 * n :], mixed[key]])

    def _shares(self, keys: list[Key], spec: dd.Spec) -> dict[Key, int]:
        # In the order of class ids, not of arrival: what does not divide goes to the lowest.
        (allowed,) = self._budget.allowances([sorted(keys)])
        if self._budget.unit == "examples":
            return allowed
        image = original_bytes(spec, 1)
        return {key: self._budget.whole(amount, image, key) for key, amount in allowed.items()}

    def kept(self, experience: int) -> tuple[Kept, ...]:
        """Return the images as one summary for each task.

        Those that took in something are of this experience.
        """
        result = []
        for task, spec in self.specs.items():
            before = self._before.get(task)
            made_of = experience if before is None or task in self._taken else before.experience
            mine = {c: images for (of, c), images in self.images.items() if of == task}
            summary = as_summary(mine, spec, self._memory.name, ("sample_condensation", "dc"))
            result.append(Kept(summary, made_of, task))
        return tuple(result)
