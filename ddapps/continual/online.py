"""Replay memories that look at no more than a batch of an experience together: for streams that are seen once."""

from __future__ import annotations

from typing import Any

import ddcore as dd
from ddapps.continual.budget import MemoryBudget
from ddapps.continual.buffer import SummaryBuffer
from ddapps.continual.condensation import CondensedMemory
from ddapps.continual.distilled import DistilledMemory
from ddcore.data import Normalisation


class SampleCondensationBuffer(SummaryBuffer):
    """A replay memory for streams whose experiences are seen once and piece by piece, such as those of ``split_online_stream``.

    Args:
        memory: see `MemoryBudget.parse`.
        normalisation, num_classes, mirror: see `SummaryBuffer`.
        settings: further arguments of `CondensedMemory`.
    """

    def __init__(
        self,
        memory: int | str | dd.Budget | MemoryBudget = 100,
        *,
        normalisation: Normalisation | None = None,
        num_classes: int | None = None,
        mirror: bool = True,
        **settings: Any,
    ) -> None:
        made = CondensedMemory(memory, **settings)
        super().__init__(made, normalisation=normalisation, num_classes=num_classes, mirror=mirror)


class CompositeMemoryBuffer(SummaryBuffer):
    r"""A replay memory of few components, shared by all classes and weighted for each example (after Wiewel & Yang 2021).

    Linear bases (survey, equation 13) under gradient matching, in one summary: examples are weighted sums of the components, and components
    are learned anew with each piece of an experience, from the memory's own examples and the piece.

    Args:
        memory: in bytes, of which components take up to 40 %; see `MemoryBudget.parse`.
        chunk: examples that are looked at together; None: the whole experience.
        preset: ``cpu`` or ``paper``: of the matching.
        network: matched on.
        normalisation, num_classes, mirror: see `SummaryBuffer`.
        settings: further arguments of `DistilledMemory`.
    """

    def __init__(
        self,
        memory: int | str | dd.Budget | MemoryBudget = "20kB",
        *,
        chunk: int | None = None,
        preset: str = "cpu",
        network: object = "convnet(width=32)",
        normalisation: Normalisation | None = None,
        num_classes: int | None = None,
        mirror: bool = True,
        **settings: Any,
    ) -> None:
        method = dd.methods.compose("gradient", "linear-bases", preset=preset)
        method = dd.override(method, "cites", ("composite_memory", *method.cites))
        made = DistilledMemory(method, memory, joint=True, chunk=chunk, network=network, **settings)
        super().__init__(made, normalisation=normalisation, num_classes=num_classes, mirror=mirror)
