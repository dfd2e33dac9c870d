"""`DistilledMemory`: experiences as summaries, by any method."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

import ddcore as dd
from ddapps.continual.budget import Key, MemoryBudget
from ddapps.continual.distinct import distinctly, first_copies
from ddapps.continual.memory import Kept, Memory, Tasks, balanced, chunks, examples_of
from ddapps.continual.store import Store
from ddapps.sizing import Compression, Limit
from ddcore.errors import SettingsError
from ddcore.ground import derive_seed, resolve_device
from ddcore.parts import NetworkSource, as_architecture
from ddcore.settings import describe, require, require_counts


class DistilledMemory(Memory):
    """A summary of every experience, distilled by any method.

    An experience is distilled when `observe` is told of it, within the share of its classes. Shares
    shrink where classes arrive or come again. Earlier summaries are then distilled again, from
    their own examples, to what they may still hold.

    Args:
        method: a name, or a `ddcore.Method`, whose ``ipc`` the budget replaces.
        memory: see `MemoryBudget.parse`.
        joint: whether one summary (of each task) stands for all experiences. It is distilled anew
            from its own examples and the new data, so that all classes share bases or decoders. Of
            a class that comes again, the earlier examples count as often as it had come.
        chunk: of a joint memory: most examples that are looked at together. An experience is then
            taken in piece by piece, in its order.
        preset: ``paper`` or ``cpu``, of a method by its name; default: ``cpu`` on a processor,
            ``paper`` on a GPU.
        storage: ``uint8``, ``fp16`` or ``float32``.
        network: what is distilled on, in any form that ``ddcore.networks.as_architecture`` takes;
            default: the method's.
        steps: replaces the method's number of steps.
        max_seconds: of each distillation.
        seed: of all random numbers.
        device: as in ``ddcore.distill``.
        directory: where the memory is written after every experience. The same stream, observed
            again in another process, is read from there as far as it had come. A distillation that
            was killed goes on from its checkpoint.
        progress: whether to show bars on standard error.
    """

    def __init__(
        self,
        method: str | dd.Method = "dm",
        memory: int | str | dd.Budget | MemoryBudget = "10-per-class",
        *,
        joint: bool = False,
        chunk: int | None = None,
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
        if not isinstance(method, str | dd.Method):
            raise SettingsError(
                f"the method is a name or a ddcore.Method, not {method!r}: the size is memory={method!r}"
            )
        preset = dd.methods.settled_preset(preset, device, say=isinstance(method, str))
        if network is not None and not isinstance(network, NetworkSource):
            network = as_architecture(network)
        self.compression = Compression(method, preset, storage, network, steps)
        self._learns_labels = self.compression.learns_labels
        self.budget = MemoryBudget.parse(memory)
        require(joint or chunk is None, "only a joint memory takes experiences in pieces: joint=True")
        if chunk is not None:
            require_counts(chunk=chunk)
        self.joint, self.chunk = joint, chunk
        self._seen: Counter[Key] = Counter()
        self._run = {"device": device, "max_seconds": max_seconds, "progress": progress}
        self._seed = seed
        kind = self.compression.factorization
        self.store = None if directory is None else Store(Path(directory), {kind.name: kind.loader()})

    @property
    def name(self) -> str:
        return self.compression.name

    @property
    def learns_labels(self) -> bool:
        return self._learns_labels

    def settings(self) -> dict[str, Any]:
        return {
            "compression": describe(self.compression),
            "joint": self.joint,
            "chunk": self.chunk,
            "seed": self._seed,
            "max_seconds": self._run["max_seconds"],
        }

    def resize(self, memory: int | str | dd.Budget | MemoryBudget, model: nn.Module | None = None) -> None:
        budget = MemoryBudget.parse(memory)
        kept = self._shrunk(self.kept, budget.allowances([k.keys for k in self.kept]), budget, "resized")
        self.budget, self.kept = budget, kept
        if self.store is not None:
            self.store.discard_checkpoints(self.experiences, "resized")

    def after(self, tasks: Tasks, model: nn.Module | None = None) -> tuple[Kept, ...]:
        if not self.joint:
            return self._with(self.kept, tasks, "task")
        kept, seen = self.kept, Counter(self._seen)
        for task, target in tasks:
            for index, piece in enumerate(self._pieces(target)):
                others = [one for one in kept if one.task != task]
                earlier = [examples_of(one.summary) for one in kept if one.task == task]
                weights = [{c: seen[task, c] for c in part.spec.classes} for part in earlier]
                union = balanced([*earlier, piece], [*weights, dict.fromkeys(piece.spec.classes, 1)])
                kept = self._with(others, [(task, union)], f"piece-{index}")
                seen += _once(task, piece)
        return kept

    def count(self, tasks: Tasks) -> None:
        for task, target in tasks:
            for piece in self._pieces(target):
                self._seen += _once(task, piece)

    def _pieces(self, target: dd.TargetData) -> list[dd.TargetData]:
        return [target] if self.chunk is None else chunks(target, self.chunk)

    def _with(self, earlier: Sequence[Kept], tasks: Tasks, purpose: str) -> tuple[Kept, ...]:
        """Return earlier summaries, made smaller where they must be, and new ones of these data."""
        keys = [tuple(_once(task, target)) for task, target in tasks]
        allowances = self.budget.allowances([*(kept.keys for kept in earlier), *keys])
        kept = list(self._shrunk(earlier, allowances[: len(earlier)], self.budget))
        for (task, target), allowance in zip(tasks, allowances[len(earlier) :], strict=True):
            summary = self._distilled(target, allowance, self.budget, f"{purpose}-{task}")
            kept.append(Kept(summary, self.experiences, task))
        return tuple(kept)

    def _shrunk(
        self, kept: Sequence[Kept], allowances: Sequence[dict[Key, int]], budget: MemoryBudget, purpose: str = "again"
    ) -> tuple[Kept, ...]:
        """Return the summaries, those distilled again that are larger than allowed."""
        result = []
        for index, (one, allowance) in enumerate(zip(kept, allowances, strict=True)):
            if budget.unit == "bytes":
                fits = one.summary.stored_bytes <= sum(allowance.values())
            else:
                fits = all(count <= allowance[one.task, c] for c, count in one.summary.counts.items())
            if not fits:
                summary = self._distilled(examples_of(one.summary), allowance, budget, f"{purpose}-{index}")
                one = Kept(summary, one.experience, one.task)
            result.append(one)
        return tuple(result)

    def _distilled(
        self, target: dd.TargetData, allowance: dict[Key, int], budget: MemoryBudget, purpose: str
    ) -> dd.DataSummary:
        in_bytes = budget.unit == "bytes"
        limit: Limit = sum(allowance.values()) if in_bytes else {c: n for (_, c), n in allowance.items()}
        settings: dict[str, Any] = dict(self._run)
        seed = derive_seed(self._seed, "experience", self.experiences, purpose)
        if self.joint:
            # Data may repeat examples on purpose: they are drawn from as they are. Sizes and first
            # images go by the distinct ones.
            distinct = target.with_train(first_copies(target.train), target.name)
            method = distinctly(self.compression.within(limit, distinct), distinct.counts())
        else:
            method = self.compression.within(limit, target)
        if self.store is not None:
            said = method.at_precision(None, resolve_device(settings["device"]))
            what = (target.fingerprint(), json.dumps(said.describe()), str(seed))
            settings["checkpoint"] = self.store.checkpoint(self.experiences, purpose, *what)
        return dd.distill(target, method, seed=seed, **settings)


def _once(task: int, target: dd.TargetData) -> Counter[Key]:
    """Return the classes that data have, each counted once."""
    return Counter((task, class_id) for class_id, count in target.counts().items() if count)
