"""Avalanche's replay memory, distilled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.training.storage_policy import ExemplarsBuffer

import ddcore as dd
from ddapps.continual.budget import MemoryBudget
from ddapps.continual.distilled import DistilledMemory
from ddapps.continual.experiences import Form, Reader, exemplars
from ddapps.continual.memory import Kept, Memory
from ddcore.errors import UnsupportedError
from ddcore.parts import Normalisation


class SummaryBuffer(ExemplarsBuffer):  # type: ignore[misc]
    """A replay memory that holds summaries instead of real examples.

    It goes wherever Avalanche takes an ``ExemplarsBuffer``:
    ``ReplayPlugin(mem_size=buffer.max_size, storage_policy=buffer)``. Its items are what the model
    takes: normalised, without transforms, with the task labels of their experience.

    Args:
        memory: what is kept, and how.
        normalisation: what the benchmark's transforms apply to pixels in [0, 1]; default: the
            ``Normalize`` that is found in them.
        num_classes: size of the label space; default: the width of the model's output.
        mirror: whether a mirrored image keeps its class (not so for digits).

    Raises:
        BudgetError: the memory cannot hold ``num_classes`` classes, and is to end the run for it.

    Attributes:
        max_size: the memory's amount in its own unit (of ``"10-per-class"``: 10).
        memory: as given.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        normalisation: Normalisation | None = None,
        num_classes: int | None = None,
        mirror: bool = True,
    ) -> None:
        if num_classes is not None:
            memory.require_room(num_classes)
        self.memory = memory
        self._asked = memory.budget
        self.reader = Reader(normalisation, num_classes, mirror)
        super().__init__(memory.budget.amount)
        self._form = Form(with_task=False, tensor_targets=False)
        self._num_classes = 0
        self._shown: tuple[tuple[Kept, ...], AvalancheDataset] | None = None

    @property
    def buffer(self) -> AvalancheDataset:
        """All examples that the memory holds.

        Raises:
            UnsupportedError: the method learns labels, for which a class id cannot stand.
        """
        if self.memory.learns_labels:
            raise UnsupportedError(
                f"{self.memory.name} learns a distribution over classes for each example, and this strategy replays class ids: use "
                "SoftReplayPlugin or CompressThenRecall, which train on the distributions, or a method with hard labels"
            )
        if self._shown is None or self._shown[0] is not self.memory.kept:
            self._shown = self.memory.kept, exemplars(self.memory.kept, self._form)
        return self._shown[1]

    @property
    def stored_bytes(self) -> int:
        """Bytes of the memory."""
        return self.memory.stored_bytes

    def post_adapt(self, agent_state: Any, exp: Any) -> None:
        """Distill an experience into the memory."""
        model = getattr(agent_state, "model", None)
        tasks = self.reader.read(exp, model, self._num_classes)
        form = Form.of(exp.dataset)
        self.memory.observe(tasks, model)
        self._form, self._num_classes = form, tasks[0][1].spec.num_classes

    def update(self, strategy: Any, **kwargs: Any) -> None:
        """Take in the strategy's present experience (the older name of `post_adapt`)."""
        self.post_adapt(strategy, strategy.experience)

    def resize(self, strategy: Any, new_size: int) -> None:
        """Change the amount, in the unit of ``max_size``.

        Summaries that are too large are distilled again.
        """
        self.memory.resize(replace(self._asked, amount=new_size), getattr(strategy, "model", None))
        self.max_size = new_size


class DistilledBuffer(SummaryBuffer):
    """A replay memory with a summary of every experience, distilled when the experience ends.

    Experiences with the same classes share the memory of these classes equally.

    Args:
        method: a name; a `ddcore.Method`, whose ``ipc`` the memory replaces; or ``auto``.
        memory: 200 (examples in all), ``"10-per-class"``, ``"20kB"`` or ``"650B-per-class"``; see
            `MemoryBudget.parse`.
        normalisation, num_classes, mirror: see `SummaryBuffer`.
        settings: further arguments of `DistilledMemory`: ``joint``, ``storage``, ``network``,
            ``steps``, ``max_seconds``, ``seed``, ``directory``, ...
    """

    def __init__(
        self,
        method: str | dd.Method = "dm",
        memory: int | str | dd.Budget | MemoryBudget = "10-per-class",
        *,
        normalisation: Normalisation | None = None,
        num_classes: int | None = None,
        mirror: bool = True,
        **settings: Any,
    ) -> None:
        made = DistilledMemory(method, memory, **settings)
        super().__init__(made, normalisation=normalisation, num_classes=num_classes, mirror=mirror)
