"""The memories that a comparison sets side by side, as settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ddcore as dd
from ddapps.continual.budget import MemoryBudget
from ddapps.continual.buffer import SummaryBuffer
from ddapps.continual.chosen import AUTO, CODEC, candidates, is_choice
from ddapps.continual.distilled import DistilledMemory
from ddapps.continual.memory import Memory
from ddapps.continual.mixed import MixedMemory
from ddapps.continual.online import CompositeMemoryBuffer, SampleCondensationBuffer
from ddapps.continual.picture_files import PictureMemory
from ddapps.continual.real import GreedyMemory
from ddapps.continual.setting import Setting
from ddapps.grids import Axis, choices
from ddapps.sizing import Compression
from ddcore.errors import BudgetError
from ddcore.settings import require

QUALITIES = (10, 25, 50, 75, 90)
"""Of JPEG, tried on a validation split."""
RULE, RANDOM = "rule", "random"
"""What is searched that names the method of ``auto``, and the method that it starts from."""


class Kind(ABC):
    """How a memory is made. A leaf is a frozen dataclass."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the row."""

    @property
    def memory_name(self) -> str:
        """Name that memories of this kind share on disk."""
        return self.name

    @property
    def recipe(self) -> dd.Recipe | None:
        """The form of the recipe of what it holds; None: it is not known yet."""
        return dd.Recipe()

    @property
    def learns_labels(self) -> bool:
        """Whether its examples have distributions as targets instead of class ids."""
        return False

    @abstractmethod
    def memory(self, setting: Setting, seed: int, directory: Path | None) -> Memory:
        """Return the empty memory."""

    def buffer(self, setting: Setting, seed: int, directory: Path | None) -> SummaryBuffer:
        """Return the empty memory, for Avalanche."""
        return SummaryBuffer(self.memory(setting, seed, directory), **setting.data())

    def axes(self, spec: dd.Spec) -> list[dict[str, Axis]]:
        """Return settings of its own that are chosen on a validation split, for such data.

        There is one search after the other.
        """
        return []

    def require_room(self, setting: Setting, parts: Sequence[dd.TargetData]) -> None:
        """Raise `BudgetError` where it is known beforehand that an experience does not fit."""


@dataclass(frozen=True)
class Distilled(Kind):
    """Summaries by a method, or real images by a selection rule.

    Attributes:
        method: as in `DistilledMemory`.
        storage: of its numbers.
        codec: of a method through the codec (``random-codec``): how its examples are stored
            (`Candidate.storage`). It is chosen on the validation split, by the accuracy at the end
            of the stream; None, and beside real images: the memory chooses it, on the first
            experience.
        tuned: whether ``auto`` is chosen so, too: how random images are stored, then the method.
        rule: the method that ``auto`` means when it is tuned; None: random selection, which tells
            the storages apart.
        real: share of the memory that holds random real images instead. Beside a method that is
            chosen, their storage is chosen too.
    """

    method: str | dd.Method
    storage: str = "uint8"
    real: float = 0.0
    codec: str | None = None
    tuned: bool = False
    rule: str | None = None

    def __post_init__(self) -> None:
        require(0 <= self.real < 1, f"real is a share of the memory, in [0, 1), not {self.real}")

    @property
    def name(self) -> str:
        name = Compression(self.method).name
        return f"{name} + {self.real:.0%} random" if self.real else name

    @property
    def memory_name(self) -> str:
        return f"{self.name} {self.storage}" + (f" {self.rule or RANDOM} {self.codec}" if self.codec else "")

    @property
    def recipe(self) -> dd.Recipe | None:
        return None if is_choice(self.method) else Compression(self.method).first_recipe

    @property
    def learns_labels(self) -> bool:
        return not is_choice(self.method) and Compression(self.method).learns_labels

    def memory(self, setting: Setting, seed: int, directory: Path | None) -> Memory:
        given = {**setting.distilling(directory), "storage": self.storage, "seed": seed, "device": setting.device}
        if self.real:
            selection = f"random{CODEC}" if is_choice(self.method) else "random"
            return MixedMemory(self.method, setting.limit, real=self.real, selection=selection, **given)
        method = self.method if self.codec is None else self._chosen(setting.spec)
        return DistilledMemory(method, setting.limit, **given)

    def _chosen(self, spec: dd.Spec) -> dd.Method:
        for candidate in candidates(str(self.method), spec).values():
            if candidate.storage == self.codec and (self.method != AUTO or candidate.rule == (self.rule or RANDOM)):
                method: dd.Method = candidate.build()
                return method
        raise BudgetError(f"no candidate of {self.method} stores {self.rule or RANDOM} as {self.codec}")

    def axes(self, spec: dd.Spec) -> list[dict[str, Axis]]:
        chosen_by_the_memory = bool(self.real) or (self.method == AUTO and not self.tuned)
        if not is_choice(self.method) or chosen_by_the_memory:
            return []
        known = candidates(str(self.method), spec).values()
        searches = [{"codec": choices([candidate.storage for candidate in known])}]
        if self.method == AUTO:
            searches.append({RULE: choices([candidate.rule for candidate in known])})
        return searches

    def require_room(self, setting: Setting, parts: Sequence[dd.TargetData]) -> None:
        if is_choice(self.method):
            return
        share = 1 - self.real
        for part in {len(part.spec.classes): part for part in parts}.values():
            limit, classes = setting.limit, len(part.spec.classes)
            each = limit.amount if limit.per_class else limit.amount // len(setting.spec.classes)
            Compression(self.method, storage=self.storage).within(int(share * each * classes), part)
            if self.real:
                Compression("random", storage=self.storage).within(int(self.real * each * classes), part)


@dataclass(frozen=True)
class Greedy(Kind):
    """GDumb's memory. It may use all bytes from the first experience on."""

    @property
    def name(self) -> str:
        return "gdumb"

    def memory(self, setting: Setting, seed: int, directory: Path | None) -> Memory:
        return GreedyMemory(MemoryBudget(setting.most, "bytes"), seed=seed)


@dataclass(frozen=True)
class Pictures(Kind):
    """Real images in files.

    Attributes:
        format, quality: as in `PictureMemory`.
    """

    format: str
    quality: int = 50

    @property
    def name(self) -> str:
        return self.format

    def memory(self, setting: Setting, seed: int, directory: Path | None) -> Memory:
        return PictureMemory(setting.limit, format=self.format, quality=self.quality, seed=seed)

    def axes(self, spec: dd.Spec) -> list[dict[str, Axis]]:
        return [{"quality": Axis(QUALITIES, lambda end, neighbour: None)}] if self.format == "jpeg" else []

    def require_room(self, setting: Setting, parts: Sequence[dd.TargetData]) -> None:
        least = replace(self, quality=min(QUALITIES)) if self.format == "jpeg" else self
        memory = least.memory(setting, 0, None)
        memory.when_short = "error"
        for part in parts:
            memory.observe(part)


@dataclass(frozen=True)
class Online(Kind):
    """A memory for streams, replayed.

    Attributes:
        name: ``composite-memory`` or ``sample-condensation``.
    """

    kind: str

    @property
    def name(self) -> str:
        return self.kind

    def memory(self, setting: Setting, seed: int, directory: Path | None) -> Memory:
        return self.buffer(setting, seed, directory).memory

    def buffer(self, setting: Setting, seed: int, directory: Path | None) -> SummaryBuffer:
        given: dict[str, Any] = {"memory": setting.limit, "seed": seed, "device": setting.device, **setting.data()}
        if self.kind == "composite-memory":
            return CompositeMemoryBuffer(**given, **setting.distilling(directory))
        # What it keeps depends on the model in training, so no directory is searched for it.
        return SampleCondensationBuffer(**given)


ONLINE = ("sample-condensation", "composite-memory")
"""Memories for streams, by name."""

RECALLED: Mapping[str, Kind] = {"gdumb": Greedy(), "png": Pictures("png"), "jpeg": Pictures("jpeg")}
"""Memories of real images that are recalled as distilled ones are, by name."""
