"""What is kept of a stream of experiences: summaries, within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from ddapps.continual.budget import Key, MemoryBudget
from ddapps.continual.sizing import Compression, Limit
from ddapps.continual.store import Store
from ddcore.data import Split
from ddcore.engine import derive_seed, resolve_device
from ddcore.errors import InputDataError
from ddcore.networks import NetworkSource, as_architecture
from ddcore.settings import describe


@dataclass(frozen=True)
class Kept:
    """The summary of one experience, or of one task in it.

    Attributes:
        summary: what is stored.
        experience: index of the experience, from 0; of a summary that stands for several, the last.
        task: task label of all its examples.
    """

    summary: dd.DataSummary
    experience: int
    task: int

    @property
    def keys(self) -> tuple[Key, ...]:
        """Task label and class id of every class."""
        return tuple((self.task, class_id) for class_id in self.summary.counts)


class DistilledMemory:
    """Summaries of the experiences seen so far; they never store more than the budget.

    An experience is distilled when `observe` is told of it, within the share of its classes. Where shares shrink, because classes have
    arrived or come again, earlier summaries are distilled again, from their own examples, to what they may still hold.

    Args:
        method: a name, or a `ddcore.Method`, whose ``ipc`` the budget replaces.
        memory: see `MemoryBudget.parse`.
        joint: whether one summary (of each task) stands for all experiences: it is distilled anew from the examples of the one before and
            the new data, each class counting alike, so that all classes share bases or decoders.
        preset: ``paper`` or ``cpu``, of a method by its name; default: ``cpu`` on a processor, ``paper`` on a GPU.
        storage: ``uint8``, ``fp16`` or ``float32``.
        network: what is distilled on, in any form that ``ddcore.networks.as_architecture`` takes; default: the method's.
        steps: replaces the method's number of steps.
        max_seconds: of each distillation.
        seed: of all random numbers.
        device: as in ``ddcore.distill``.
        directory: where the memory is written after every experience. The same stream observed again, in another process, is read from there
            as far as it had come; a distillation that was killed goes on from its checkpoint.
        progress: whether to show bars on standard error.
    """

    def __init__(
        self,
        method: str | dd.Method = "dm",
        memory: int | str | dd.Budget | MemoryBudget = "10-per-class",
        *,
        joint: bool = False,
        preset: str | None = None,
        storage: str = "uint8",
        network: object = None,
        steps: int | None = None,
        max_seconds: float | None = None,
        seed: int = 0,
        device: str | torch.device = "auto",
        directory: str | Path | None = None,
        progress: bool = False,
    ) -> None:
        on_cpu = resolve_device(device).type == "cpu"
        preset = preset or ("cpu" if on_cpu else "paper")
        if network is not None and not isinstance(network, NetworkSource):
            network = as_architecture(network)
        self.compression = Compression(method, preset, storage, network, steps)
        self.learns_labels = self.compression.learns_labels
        self.budget = MemoryBudget.parse(memory)
        self.joint = joint
        self.kept: tuple[Kept, ...] = ()
        self.experiences = 0
        self._run = {"device": device, "max_seconds": max_seconds, "progress": progress}
        self._seed = seed
        self._store = None if directory is None else Store(Path(directory))

    @property
    def stored_bytes(self) -> int:
        """Bytes of all summaries."""
        return sum(kept.summary.stored_bytes for kept in self.kept)

    @property
    def counts(self) -> dict[Key, int]:
        """Number of examples of each class (of each task)."""
        total: dict[Key, int] = {}
        for kept in self.kept:
            for class_id, count in kept.summary.counts.items():
                total[kept.task, class_id] = total.get((kept.task, class_id), 0) + count
        return total

    def summary(self) -> dd.DataSummary:
        """Return the union of all summaries, with the recipe that stands for theirs (see `ddcore.Recipe.merged`)."""
        if not self.kept:
            raise InputDataError("the memory is empty: no experience was observed")
        summaries = [kept.summary for kept in self.kept]
        return dd.concat(summaries, recipe=dd.Recipe.merged([summary.recipe for summary in summaries]))

    def observe(self, data: dd.TargetData | Sequence[tuple[int, dd.TargetData]]) -> None:
        """Take in an experience.

        Args:
            data: its training data; with several tasks in one experience, task labels and the data of each.

        Raises:
            BudgetError: the budget holds no example of some class. The memory stays as it was.
        """
        tasks = [(0, data)] if isinstance(data, dd.TargetData) else list(data)
        facts = {
            "data": [[task, target.fingerprint()] for task, target in tasks],
            "settings": describe(self.compression),
            "budget": describe(self.budget),
            "joint": self.joint,
            "seed": self._seed,
            "max_seconds": self._run["max_seconds"],
        }
        found = None if self._store is None else self._store.read(self.experiences, facts)
        kept = self._after(tasks) if found is None else [Kept(*entry) for entry in found]
        if self._store is not None and found is None:
            self._store.write(self.experiences, facts, [(k.summary, k.experience, k.task) for k in kept])
        self.kept = tuple(kept)
        self.experiences += 1

    def resize(self, memory: int | str | dd.Budget | MemoryBudget) -> None:
        """Change the budget; summaries that are too large for it are distilled again."""
        budget = MemoryBudget.parse(memory)
        kept = self._shrunk(self.kept, budget.allowances([k.keys for k in self.kept]), budget)
        self.budget, self.kept = budget, tuple(kept)

    def _after(self, tasks: Sequence[tuple[int, dd.TargetData]]) -> list[Kept]:
        """Return what is kept after one more experience."""
        earlier = list(self.kept)
        if self.joint:
            tasks = [self._joined(task, target) for task, target in tasks]
            earlier = [kept for kept in earlier if kept.task not in {task for task, _ in tasks}]
        keys = [tuple((task, c) for c, n in target.counts().items() if n) for task, target in tasks]
        allowances = self.budget.allowances([*(kept.keys for kept in earlier), *keys])
        kept = self._shrunk(earlier, allowances[: len(earlier)], self.budget)
        for (task, target), allowance in zip(tasks, allowances[len(earlier) :], strict=True):
            summary = self._distilled(target, allowance, self.budget, f"task-{task}")
            kept.append(Kept(summary, self.experiences, task))
        return kept

    def _shrunk(
        self, kept: Sequence[Kept], allowances: Sequence[dict[Key, int]], budget: MemoryBudget
    ) -> list[Kept]:
        """Return the summaries, those distilled again that are larger than allowed."""
        result = []
        for index, (one, allowance) in enumerate(zip(kept, allowances, strict=True)):
            if budget.unit == "bytes":
                fits = one.summary.stored_bytes <= sum(allowance.values())
            else:
                fits = all(count <= allowance[one.task, c] for c, count in one.summary.counts.items())
            if not fits:
                summary = self._distilled(examples_of(one.summary), allowance, budget, f"again-{index}")
                one = Kept(summary, one.experience, one.task)
            result.append(one)
        return result

    def _distilled(
        self, target: dd.TargetData, allowance: dict[Key, int], budget: MemoryBudget, purpose: str
    ) -> dd.DataSummary:
        in_bytes = budget.unit == "bytes"
        limit: Limit = sum(allowance.values()) if in_bytes else {c: n for (_, c), n in allowance.items()}
        settings: dict[str, Any] = dict(self._run)
        if self._store is not None:
            settings["checkpoint"] = self._store.checkpoint(self.experiences, purpose)
        seed = derive_seed(self._seed, "experience", self.experiences, purpose)
        return dd.distill(target, self.compression.within(limit, target), seed=seed, **settings)

    def _joined(self, task: int, target: dd.TargetData) -> tuple[int, dd.TargetData]:
        earlier = [kept.summary for kept in self.kept if kept.task == task]
        return task, balanced([examples_of(summary) for summary in earlier] + [target])


def examples_of(summary: dd.DataSummary) -> dd.TargetData:
    """Return a summary's examples, as pixels and class ids, as data that can be distilled again."""
    owners = torch.zeros(len(summary), dtype=torch.int64)
    for class_id, indices in summary.members().items():
        owners[indices] = class_id
    spec = replace(summary.spec, classes=tuple(summary.counts))
    return dd.TargetData("summary", spec, Split(summary.to_pixels(), owners))


def balanced(parts: Sequence[dd.TargetData]) -> dd.TargetData:
    """Return the union of data in which every part has as many examples of a class as the part with the most: its own, repeated."""
    if len(parts) == 1:
        return parts[0]
    counts = [part.counts() for part in parts]
    most = max(n for count in counts for n in count.values())
    chosen = []
    for part in parts:
        for class_id in part.train.targets.unique().tolist():
            members = (part.train.targets == class_id).nonzero().flatten()
            chosen.append(part.train.take(members.repeat(-(-most // len(members)))[:most]))
    inputs = [split.inputs for split in chosen]
    if len({pixels.dtype for pixels in inputs}) > 1:
        inputs = [pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels for pixels in inputs]
    targets = torch.cat([split.targets for split in chosen])
    spec = replace(parts[-1].spec, classes=tuple(sorted(set(targets.tolist()))))
    return dd.TargetData(parts[-1].name, spec, Split(torch.cat(inputs), targets))
