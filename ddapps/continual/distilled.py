"""`DistilledMemory`: experiences as summaries, by any method."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import ddcore as dd
from ddapps.continual.budget import Key, MemoryBudget
from ddapps.continual.chosen import choose, is_choice, named
from ddapps.continual.distinct import distinctly, first_copies
from ddapps.continual.memory import (
    Kept,
    Memory,
    Tasks,
    balanced,
    chunks,
    examples_of,
    keys_of,
    require_when_short,
)
from ddapps.continual.pace import CHOICE_SHARE, Deadline, Pace, Shown, most_seconds
from ddapps.continual.store import Store
from ddapps.sizing import Compression, Limit
from ddcore.errors import BudgetError, CheckpointError, DistillationWarning, SettingsError, UnknownNameError
from ddcore.ground import derive_seed, resolve_device
from ddcore.parts import NetworkSource, as_architecture
from ddcore.settings import describe, require, require_counts

SHRINK = ("each", "together")
"""How earlier summaries are made smaller; see `DistilledMemory`."""


@dataclass(frozen=True)
class _Job:
    """A summary that is to be made.

    Attributes:
        target: of what data.
        method: by what, in its size.
        purpose: why; its random numbers and its checkpoint go by it.
        experience, task: of what is kept.
    """

    target: dd.TargetData
    method: dd.Method
    purpose: str
    experience: int
    task: int


class DistilledMemory(Memory):
    """A summary of every experience, distilled by any method.

    An experience is distilled when `observe` is told of it, within the share of its classes. Shares
    shrink where classes arrive or come again. Earlier summaries are then distilled again, from
    their own examples, to what they may still hold. Where a class comes again and its share does
    not hold an item for each summary that has it, examples and new data are distilled into one
    summary, as a joint memory does, unless ``when_short`` is ``error``. A `DistillationWarning`
    says so once.

    Args:
        method: a name; a `ddcore.Method`, whose ``ipc`` the budget replaces; or a word for a choice
            (`ddapps.continual.chosen`): ``auto``, or ``random-codec``. The choice is made once, on
            the first experience and its share of bytes, and serves all later ones: summaries of one
            method have one recipe. A memory in examples then has the bytes of as many real ones.
        memory: see `MemoryBudget.parse`.
        joint: whether one summary (of each task) stands for all experiences. It is distilled anew
            from its own examples and the new data, so that all classes share bases or decoders. Of
            a class that comes again, the earlier examples count as often as it had come.
        chunk: of a joint memory: most examples that are looked at together. An experience is then
            taken in piece by piece, in its order.
        shrink: what happens to earlier summaries whose share shrinks. ``each``: each is distilled
            again alone. ``together``: those of a task are distilled together into one.
        when_short: see `Memory`.
        preset: ``paper`` or ``cpu``, of a method by its name; default: ``cpu`` on a processor,
            ``paper`` on a GPU.
        storage: ``uint8``, ``fp16`` or ``float32``.
        network: what is distilled on, in any form that ``ddcore.networks.as_architecture`` takes;
            default: the method's.
        steps: replaces the method's number of steps.
        max_seconds: of the distillations of one experience together. A choice, which is made once,
            has five times as many. Default: 60 on a processor, no limit on a GPU. ``math.inf``: no
            limit.
        seed: of all random numbers.
        device: as in ``ddcore.distill``.
        directory: where the memory is written after every experience. The same stream, observed
            again in another process, is read from there as far as it had come. A distillation that
            was killed goes on from its checkpoint.
        progress: None: a bar on standard error where that is a terminal, or this is a notebook;
            elsewhere lines, with the time that all steps take after the first ones. True: a bar.
            False: nothing. A function: it takes the lines.

    Attributes:
        choice: the record of a choice that was made (`ddcore.MethodChoice.record`), or None.
    """

    choice: Mapping[str, Any] | None = None

    def __init__(
        self,
        method: str | dd.Method = "dm",
        memory: int | str | dd.Budget | MemoryBudget = "10-per-class",
        *,
        joint: bool = False,
        chunk: int | None = None,
        shrink: str = "each",
        when_short: str = "keep",
        preset: str | None = None,
        storage: str = "uint8",
        network: object = None,
        steps: int | None = None,
        max_seconds: float | None = None,
        seed: int = 0,
        device: str | torch.device = "auto",
        directory: str | Path | None = None,
        progress: Shown = None,
    ) -> None:
        if not isinstance(method, str | dd.Method):
            raise SettingsError(
                f"the method is a name or a ddcore.Method, not {method!r}: the size is memory={method!r}"
            )
        if shrink not in SHRINK:
            raise UnknownNameError("shrink", shrink, SHRINK)
        word = is_choice(method)
        preset = dd.methods.settled_preset(preset, device, say=isinstance(method, str) and not word)
        if network is not None and not isinstance(network, NetworkSource):
            network = as_architecture(network)
        self._given = Compression(method, preset, storage, network, steps)
        self._settled = None if word else self._given
        self.budget, self.when_short = MemoryBudget.parse(memory), require_when_short(when_short)
        require(joint or chunk is None, "only a joint memory takes experiences in pieces: joint=True")
        if chunk is not None:
            require_counts(chunk=chunk)
        self.joint, self.chunk, self.shrink = joint, chunk, shrink
        self._seen: Counter[Key] = Counter()
        self._device, self._progress = device, progress
        self._seconds = most_seconds(max_seconds, device)
        self._seed = seed
        self._joined = False
        kind = None if word else self._given.factorization
        loaders = {} if kind is None else {kind.name: kind.loader()}
        self.store = None if directory is None else Store(Path(directory), loaders)

    @property
    def compression(self) -> Compression:
        """How experiences become summaries.

        Raises:
            SettingsError: it is chosen with the first experience, and none was seen.
        """
        if self._settled is None:
            raise SettingsError(f"{self.name!r} is chosen with the first experience: observe one first")
        return self._settled

    @property
    def name(self) -> str:
        return self._given.name

    @property
    def learns_labels(self) -> bool:
        return self._settled is not None and self._settled.learns_labels

    @property
    def first_recipe(self) -> dd.Recipe | None:
        """The form of the recipes of its summaries; None: the method is not chosen yet."""
        return None if self._settled is None else self._settled.first_recipe

    def settings(self) -> dict[str, Any]:
        return {
            "compression": describe(self._given),
            "joint": self.joint,
            "chunk": self.chunk,
            "shrink": self.shrink,
            "when_short": self.when_short,
            "seed": self._seed,
            "max_seconds": self._seconds,
        }

    def observe(self, data: dd.TargetData | Tasks, model: nn.Module | None = None) -> None:
        first = data if isinstance(data, dd.TargetData) else data[0][1]
        if self._settled is None:
            # What is chosen stores other examples than real ones: bytes are what they share.
            self.budget = self.budget.in_bytes(first.spec)
            if self.store is not None:
                self.choice = self.store.choice()
        super().observe(data, model)

    def resize(self, memory: int | str | dd.Budget | MemoryBudget, model: nn.Module | None = None) -> None:
        budget = MemoryBudget.parse(memory)
        if self.choice is not None and self.kept:
            spec = self.kept[0].summary.spec
            if self._settled is None:  # all experiences were found where they were kept
                self._take(self.choice, spec)
            budget = budget.in_bytes(spec)
        kept = self._made(self._planned(self.kept, [], budget, again="resized"))
        self.budget, self.kept = budget, kept
        if self.store is not None:
            self.store.discard_checkpoints(self.experiences, "resized")

    def after(self, tasks: Tasks, model: nn.Module | None = None) -> tuple[Kept, ...]:
        if self._settled is None:
            self._settle(tasks)
        if self.joint:
            return self._jointly(tasks)
        try:
            plan = self._planned(self.kept, tasks, self.budget)
        except BudgetError:
            held = {key for one in self.kept for key in one.keys}
            if self.when_short == "error" or held.isdisjoint(keys_of(tasks)):
                raise
        else:
            return self._made(plan)
        kept = self._jointly(tasks)
        if not self._joined:
            warnings.warn(
                f"a memory of {self.budget} has no room for a summary of each experience: examples that are kept and new data are distilled "
                "into one from now on. Give more memory; joint=True does so from the start, when_short='error' ends the run instead",
                DistillationWarning,
                stacklevel=2,
            )
        self._joined = True
        return kept

    def count(self, tasks: Tasks) -> None:
        for task, target in tasks:
            for piece in self._pieces(target):
                # A new one, so that who kept the old one has it unchanged.
                self._seen = self._seen + Counter(keys_of([(task, piece)]))

    def _settle(self, tasks: Tasks) -> None:
        """Choose the method for the first experience, or find what was chosen before."""
        target = tasks[0][1]
        share = sum(self.budget.allowances([keys_of(tasks)])[0].values()) // len(tasks)
        facts = {
            "compression": describe(self._given),
            "data": target.fingerprint(),
            "bytes": share,
            "seed": self._seed,
            "max_seconds": self._seconds,
        }
        known = None if self.store is None else self.store.choice(None if self.experiences else facts)
        if known is not None:
            self._take(known, target.spec)
            return
        if self.experiences:
            raise CheckpointError("the directory does not say which method was chosen: delete it, and begin anew")
        record = choose(
            self.name,
            target,
            share,
            seed=derive_seed(self._seed, "choice"),
            max_seconds=None if self._seconds is None else CHOICE_SHARE * self._seconds,
            network=self._given.network,
            device=self._device,
            progress=self._progress,
        )
        if self.store is not None:
            self.store.keep_choice(facts, record)
        self._take(record, target.spec)

    def _take(self, record: Mapping[str, Any], spec: dd.Spec) -> None:
        """Go on with the method of a choice."""
        given, method, self.choice = self._given, named(self.name, record, spec), record
        self._settled = Compression(method, given.preset, given.storage, given.network, given.steps)

    def _jointly(self, tasks: Tasks) -> tuple[Kept, ...]:
        """Return one summary of each task, distilled from what is kept of it and the new data."""
        kept, seen = self.kept, Counter(self._seen)
        deadline = Deadline(self._seconds, sum(len(self._pieces(target)) for _, target in tasks))
        for task, target in tasks:
            for index, piece in enumerate(self._pieces(target)):
                others = [one for one in kept if one.task != task]
                earlier, weights = _weighed([one for one in kept if one.task == task], seen)
                union = balanced([*earlier, piece], [*weights, dict.fromkeys(piece.spec.classes, 1)])
                plan = self._planned(others, [(task, union)], self.budget, new=f"piece-{index}", repeated=True)
                kept = self._made(plan, deadline)
                seen.update(keys_of([(task, piece)]))
        return kept

    def _pieces(self, target: dd.TargetData) -> list[dd.TargetData]:
        return [target] if self.chunk is None else chunks(target, self.chunk)

    def _planned(
        self,
        earlier: Sequence[Kept],
        tasks: Tasks,
        budget: MemoryBudget,
        *,
        new: str = "task",
        again: str = "again",
        repeated: bool = False,
    ) -> list[Kept | _Job]:
        """Return earlier summaries, and what is to be made of too large ones and of new data.

        Args:
            earlier: summaries.
            tasks: new data.
            budget: of all.
            new: purpose of what is made of new data.
            again: purpose of what is made of earlier summaries.
            repeated: whether the new data repeat examples.

        Raises:
            BudgetError: something does not fit. Nothing was made so far.
        """
        keys = [keys_of([one]) for one in tasks]
        allowances = budget.allowances([*(kept.keys for kept in earlier), *keys])
        together = []
        if self.shrink == "together":
            large = {
                one.task
                for one, allowance in zip(earlier, allowances, strict=False)
                if not _fits(one, allowance, budget)
            }
            together = [task for task in sorted(large) if sum(one.task == task for one in earlier) > 1]
        if together:
            groups = [[one for one in earlier if one.task == task] for task in together]
            earlier = [one for one in earlier if one.task not in together]
            unions = [balanced(*_weighed(group, self._seen)) for group in groups]
            joined = [keys_of([(task, union)]) for task, union in zip(together, unions, strict=True)]
            allowances = budget.allowances([*(kept.keys for kept in earlier), *joined, *keys])
        plan: list[Kept | _Job] = []
        for index, one in enumerate(earlier):
            if _fits(one, allowances[index], budget):
                plan.append(one)
                continue
            method = self._sized(examples_of(one.summary), allowances[index], budget, self.joint)
            plan.append(_Job(examples_of(one.summary), method, f"{again}-{index}", one.experience, one.task))
        rest = allowances[len(earlier) :]
        if together:
            for task, union, group, allowance in zip(together, unions, groups, rest, strict=False):
                method = self._sized(union, allowance, budget, repeated=True)
                plan.append(_Job(union, method, f"{again}-together-{task}", group[-1].experience, task))
        for (task, target), allowance in zip(tasks, rest[len(together) :], strict=True):
            method = self._sized(target, allowance, budget, repeated)
            plan.append(_Job(target, method, f"{new}-{task}", self.experiences, task))
        return plan

    def _sized(
        self, target: dd.TargetData, allowance: Mapping[Key, int], budget: MemoryBudget, repeated: bool
    ) -> dd.Method:
        in_bytes = budget.unit == "bytes"
        limit: Limit = sum(allowance.values()) if in_bytes else {c: n for (_, c), n in allowance.items()}
        if not repeated:
            return self.compression.within(limit, target)
        # Data may repeat examples on purpose: they are drawn from as they are. Sizes and first
        # images go by the distinct ones.
        distinct = target.with_train(first_copies(target.train), target.name)
        return distinctly(self.compression.within(limit, distinct), distinct.counts())

    def _made(self, plan: Sequence[Kept | _Job], deadline: Deadline | None = None) -> tuple[Kept, ...]:
        """Return what is planned. Without a deadline the plan has the seconds of an experience."""
        if deadline is None:
            deadline = Deadline(self._seconds, sum(isinstance(one, _Job) for one in plan))
        return tuple(one if isinstance(one, Kept) else self._distilled(one, deadline.next()) for one in plan)

    def _distilled(self, job: _Job, max_seconds: float | None) -> Kept:
        seed = derive_seed(self._seed, "experience", self.experiences, job.purpose)
        bar, say = Pace.shown(self._progress)
        settings: dict[str, Any] = {"device": self._device, "max_seconds": max_seconds, "progress": bar}
        if say is not None:
            title = f"{job.method.name}, experience {self.experiences + 1}, {job.purpose}"
            settings["callbacks"] = [Pace(title, max_seconds, say)]
        if self.store is not None:
            said = job.method.at_precision(None, resolve_device(self._device))
            what = (job.target.fingerprint(), json.dumps(said.describe()), str(seed))
            settings["checkpoint"] = self.store.checkpoint(self.experiences, job.purpose, *what)
        summary = dd.distill(job.target, job.method, seed=seed, **settings)
        return Kept(summary, job.experience, job.task)


def _fits(one: Kept, allowance: Mapping[Key, int], budget: MemoryBudget) -> bool:
    if budget.unit == "bytes":
        return one.summary.stored_bytes <= sum(allowance.values())
    return all(count <= allowance[one.task, c] for c, count in one.summary.counts.items())


def _weighed(kept: Sequence[Kept], seen: Mapping[Key, int]) -> tuple[list[dd.TargetData], list[dict[int, float]]]:
    """Return the examples of summaries, and how much those of each class count.

    That is how many experiences had the class, shared among the summaries that have it.
    """
    holders = Counter(key for one in kept for key in one.keys)
    weights = [{c: seen[task, c] / holders[task, c] for task, c in one.keys} for one in kept]
    return [examples_of(one.summary) for one in kept], weights
