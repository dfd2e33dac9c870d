"""`MixedMemory`: some real images, some distilled ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

import ddcore as dd
from ddapps.continual.budget import MemoryBudget
from ddapps.continual.distilled import DistilledMemory
from ddapps.continual.memory import Kept, Memory, Tasks
from ddcore.errors import SettingsError
from ddcore.settings import require


class MixedMemory(Memory):
    """A share of the bytes, or examples, for selected real images, the rest for distilled ones.

    Args:
        method: of the distilled ones, as in `DistilledMemory`.
        memory: of both; see `MemoryBudget.parse`.
        real: share of the real ones, in (0, 1).
        selection: how these are chosen: a method that selects, or such as ``random-codec``.
        directory: as in `DistilledMemory`; each part has a folder in it.
        settings: further arguments of both `DistilledMemory`.

    Raises:
        SettingsError: the method's recipe is its own, such as learned step sizes: real images
            cannot be trained on by it.
    """

    def __init__(
        self,
        method: str | dd.Method = "dm",
        memory: int | str | dd.Budget | MemoryBudget = "10-per-class",
        *,
        real: float = 0.5,
        selection: str = "random",
        directory: str | Path | None = None,
        **settings: Any,
    ) -> None:
        require(0 < real < 1, f"real is a share of the memory, in (0, 1), not {real}")
        self.budget, self._real = MemoryBudget.parse(memory), real
        places = [None if directory is None else Path(directory) / name for name in ("real", "distilled")]
        self.parts = tuple(
            DistilledMemory(kind, budget, directory=place, **settings)
            for kind, budget, place in zip((selection, method), self._budgets(self.budget), places, strict=True)
        )
        self._settings, self._selection = settings, selection
        self.when_short = self.parts[0].when_short
        self._check_recipes()

    def _check_recipes(self) -> None:
        real, distilled = (part.first_recipe for part in self.parts)
        if real is not None and distilled is not None and not real.same_form(distilled):
            raise SettingsError(
                f"{self.parts[1].name} learns how to train on its examples, which says nothing of real ones: mix them with a method without "
                "learned rates or losses of its own, such as dm"
            )

    def _budgets(self, budget: MemoryBudget) -> tuple[MemoryBudget, MemoryBudget]:
        return budget.scaled(self._real), budget.scaled(1 - self._real)

    @property
    def name(self) -> str:
        return f"{self.parts[1].name} + {self._real:.0%} {self._selection}"

    @property
    def learns_labels(self) -> bool:
        return self.parts[1].learns_labels

    @property
    def choice(self) -> Any:
        """The record of the distilled part's choice, or None."""
        return self.parts[1].choice

    def settings(self) -> dict[str, Any]:
        return {"real": self._real, "parts": [part.settings() for part in self.parts]}

    def observe(self, data: dd.TargetData | Tasks, model: nn.Module | None = None) -> None:
        with self._all_or_none():
            for part in self.parts:
                part.observe(data, model)
        self._take()
        self.experiences += 1

    def after(self, tasks: Tasks, model: nn.Module | None = None) -> tuple[Kept, ...]:
        return tuple(kept for part in self.parts for kept in part.after(tasks, model))

    def resize(self, memory: int | str | dd.Budget | MemoryBudget, model: nn.Module | None = None) -> None:
        budget = MemoryBudget.parse(memory)
        with self._all_or_none():
            for part, share in zip(self.parts, self._budgets(budget), strict=True):
                part.resize(share, model)
        self.budget = budget
        self._take()

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """Leave all parts as they were where something is raised."""
        before = [dict(vars(part)) for part in self.parts]
        try:
            yield
        except BaseException:
            for part, state in zip(self.parts, before, strict=True):
                vars(part).clear()
                vars(part).update(state)
            raise

    def _take(self) -> None:
        self.kept = tuple(kept for part in self.parts for kept in part.kept)
        self.seconds_saved = sum(part.seconds_saved for part in self.parts)
        self.left_out = tuple(key for key in self.parts[0].left_out if key in self.parts[1].left_out)
