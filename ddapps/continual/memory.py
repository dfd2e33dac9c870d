"""What is kept of a stream of experiences."""

from __future__ import annotations

import math
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

import ddcore as dd
from ddapps.continual.budget import Key, MemoryBudget
from ddapps.continual.store import Store
from ddcore.errors import BudgetError, DistillationWarning, InputDataError, UnknownNameError
from ddcore.ground import generator
from ddcore.parts import Split
from ddcore.settings import describe

Tasks = Sequence[tuple[int, dd.TargetData]]
"""The training data of one experience: task labels, and the data of each."""

WHEN_SHORT = ("keep", "error")
"""What a memory may do when a stream brings more than it has room for; see `Memory`."""


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

    @property
    def stored_bytes(self) -> int:
        """Bytes of what is stored."""
        return self.summary.stored_bytes


class Memory(ABC):
    """Summaries of the experiences seen so far; together they never store more than the budget.

    Attributes:
        budget: the bound.
        when_short: what happens when a later experience brings more than there is room for.
            ``keep``: nothing that is stored is lost. New classes for which there is no room are
            left out, those with the highest ids first, and a `DistillationWarning` says so once.
            ``error``: `BudgetError`, and the memory stays as it was. The first experience must have
            room for its classes in any case.
        left_out: the classes that came, and have no room.
        kept: the summaries.
        experiences: how many experiences were observed.
        store: where it is written after every experience, or None.
        seconds_saved: what the distillations took that were read instead of done again.
    """

    budget: MemoryBudget
    when_short: str = "keep"
    left_out: tuple[Key, ...] = ()
    _said: bool = False
    store: Store | None = None
    kept: tuple[Kept, ...] = ()
    experiences: int = 0
    seconds_saved: float = 0.0

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the method that fills it."""

    @property
    def learns_labels(self) -> bool:
        """Whether its examples have distributions as targets instead of class ids."""
        return False

    @property
    def stored_bytes(self) -> int:
        """Bytes of all summaries."""
        return sum(kept.stored_bytes for kept in self.kept)

    @property
    def counts(self) -> dict[Key, int]:
        """Number of examples of each class (of each task)."""
        total: dict[Key, int] = {}
        for kept in self.kept:
            for class_id, count in kept.summary.counts.items():
                total[kept.task, class_id] = total.get((kept.task, class_id), 0) + count
        return total

    def summary(self) -> dd.DataSummary:
        """Return the union of all summaries, with a recipe for all (`ddcore.Recipe.merged`)."""
        if not self.kept:
            raise InputDataError("the memory is empty: no experience was observed")
        summaries = [kept.summary for kept in self.kept]
        return dd.concat(summaries, recipe=dd.Recipe.merged([summary.recipe for summary in summaries]))

    def observe(self, data: dd.TargetData | Tasks, model: nn.Module | None = None) -> None:
        """Take in an experience. A result that the directory holds already is read.

        Args:
            data: its training data. With several tasks in one experience: task labels and the data
                of each.
            model: what the strategy trains, for memories that look at it.

        Raises:
            BudgetError: the budget holds no example of some class, in the first experience or where
                ``when_short`` is ``error``. The memory stays as it was.
            OutputExistsError: the directory holds another stream's memory.
            CheckpointError: the directory is damaged.
        """
        tasks = [(0, data)] if isinstance(data, dd.TargetData) else list(data)
        kept = self._fitting(tasks, model) if self.store is None else self._found_or_made(tasks, model, self.store)
        held = {key for one in kept for key in one.keys}
        self._leave_out([key for key in keys_of(tasks) if key not in held])
        self.left_out = tuple(key for key in self.left_out if key not in held)
        self.count(_of_keys(tasks, held))
        self.kept = kept
        self.experiences += 1

    def require_room(self, classes: int) -> None:
        """Raise `BudgetError` where it is known that so many classes will be one too many.

        That is: with ``when_short="error"``, of a number of examples in all.
        """
        budget = self.budget
        short = budget.unit == "examples" and not budget.per_class and budget.amount < classes
        if short and self.when_short == "error":
            raise BudgetError(
                f"a memory of {budget} does not hold one of each of {classes} classes: give more memory, or when_short='keep', which leaves "
                "out those that come last"
            )

    def _fitting(self, tasks: Tasks, model: nn.Module | None) -> tuple[Kept, ...]:
        """Return what is kept after one more experience, of as many of its classes as have room."""
        try:
            return self.after(tasks, model)
        except BudgetError:
            if self.when_short == "error" or not self.kept:
                raise
        held = {key for one in self.kept for key in one.keys}
        new = [key for key in keys_of(tasks) if key not in held]
        for count in range(len(new) - 1, -1, -1):
            fewer = _of_keys(tasks, {*held, *new[:count]})
            try:
                return self.after(fewer, model) if fewer else self.kept
            except BudgetError:
                continue
        return self.kept

    def _leave_out(self, keys: Sequence[Key]) -> None:
        if keys and not self._said:
            self._said = True
            names = ", ".join(str(class_id) for _, class_id in keys)
            warnings.warn(
                f"a memory of {self.budget} has no room for class {names}, nor for others that may follow: what is stored is kept, they "
                "are left out. Give more memory; when_short='error' ends the run instead",
                DistillationWarning,
                stacklevel=3,
            )
        self.left_out += tuple(key for key in keys if key not in self.left_out)

    def _found_or_made(self, tasks: Tasks, model: nn.Module | None, store: Store) -> tuple[Kept, ...]:
        facts = {
            "data": [[task, target.fingerprint()] for task, target in tasks],
            "memory": [[kept.summary.sha256(), kept.experience, kept.task] for kept in self.kept],
            "budget": describe(self.budget),
            "settings": self.settings(),
        }
        found = store.read(self.experiences, facts)
        if found is not None:
            self.seconds_saved += found.seconds
            return tuple(Kept(*entry) for entry in found.kept)
        started = time.monotonic()
        kept = self._fitting(tasks, model)
        entries = [(one.summary, one.experience, one.task) for one in kept]
        store.write(self.experiences, facts, entries, time.monotonic() - started)
        return kept

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return everything, as JSON data, that what is kept depends on but budget and data."""

    @abstractmethod
    def after(self, tasks: Tasks, model: nn.Module | None) -> tuple[Kept, ...]:
        """Return what is kept after one more experience."""

    def count(self, tasks: Tasks) -> None:
        """Take note of an experience that was observed.

        For memories whose `after` needs to know more of earlier ones than what is kept.
        """

    @abstractmethod
    def resize(self, memory: int | str | dd.Budget | MemoryBudget, model: nn.Module | None = None) -> None:
        """Change the budget; what is too large for it is made smaller.

        Args:
            memory: as when it was made.
            model: as in `observe`.
        """


def require_when_short(given: str) -> str:
    """Return it, or raise `UnknownNameError`."""
    if given not in WHEN_SHORT:
        raise UnknownNameError("when_short", given, WHEN_SHORT)
    return given


def keys_of(tasks: Tasks) -> tuple[Key, ...]:
    """Return task label and class id of every class that data have an example of."""
    return tuple((task, class_id) for task, target in tasks for class_id, count in target.counts().items() if count)


def _of_keys(tasks: Tasks, keys: Collection[Key]) -> Tasks:
    """Return the data of these classes; the same objects where that is all they have."""
    found = []
    for task, target in tasks:
        have = [class_id for _, class_id in keys_of([(task, target)])]
        kept = [class_id for class_id in have if (task, class_id) in keys]
        if kept:
            found.append((task, target if kept == have else target.of_classes(kept)))
    return found


def examples_of(summary: dd.DataSummary) -> dd.TargetData:
    """Return a summary's examples, as pixels and class ids, as data that can be distilled again."""
    owners = torch.zeros(len(summary), dtype=torch.int64)
    for class_id, indices in summary.members().items():
        owners[indices] = class_id
    spec = replace(summary.spec, classes=tuple(summary.counts))
    return dd.TargetData("summary", spec, Split(summary.to_pixels(), owners))


LEAST, MOST = 256, 4096
"""Examples of each class in data that repeat some: enough for a batch, and a bound of memory."""


def balanced(parts: Sequence[dd.TargetData], weights: Sequence[Mapping[int, float]]) -> dd.TargetData:
    """Return the union of data in which parts count by their weights, whatever their sizes.

    Every class gets the same number of examples. It is chosen so that each part's share of them
    holds all that the part has, up to `MOST` in all. A part fills its share with its own examples
    in turn, repeated. Of a part with more than its share, some are left out at random.

    Args:
        parts: data with one shape and normalisation.
        weights: for each part, how much its examples of each class count.
    """
    if len(parts) == 1:
        return parts[0]
    counts = [{c: n for c, n in part.counts().items() if n} for part in parts]
    totals: dict[int, float] = {}
    for count, weight in zip(counts, weights, strict=True):
        for class_id in count:
            totals[class_id] = totals.get(class_id, 0) + weight[class_id]
    wanted = [
        n * totals[c] / weight[c] for count, weight in zip(counts, weights, strict=True) for c, n in count.items()
    ]
    size = min(max(LEAST, math.ceil(max(wanted))), MOST)
    chosen = []
    for index, (part, count, weight) in enumerate(zip(parts, counts, weights, strict=True)):
        for class_id in count:
            members = (part.train.targets == class_id).nonzero().flatten()
            share = max(1, round(size * weight[class_id] / totals[class_id]))
            if share < len(members):
                members = members[torch.randperm(len(members), generator=generator(0, "balanced", index, class_id))]
            chosen.append(part.train.take(members.repeat(-(-share // len(members)))[:share]))
    inputs = [split.inputs for split in chosen]
    if len({pixels.dtype for pixels in inputs}) > 1:
        inputs = [pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels for pixels in inputs]
    targets = torch.cat([split.targets for split in chosen])
    spec = replace(parts[-1].spec, classes=tuple(sorted(set(targets.tolist()))))
    return dd.TargetData(parts[-1].name, spec, Split(torch.cat(inputs), targets))


def chunks(data: dd.TargetData, size: int) -> list[dd.TargetData]:
    """Cut data, in its order, into pieces of ``size`` examples."""
    return [data.with_train(indices, data.name) for indices in torch.arange(len(data.train)).split(size)]
