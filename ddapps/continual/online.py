"""Replay memories for streams that are seen once: they look at one batch at a time."""

from __future__ import annotations

from typing import Any

import ddcore as dd
from ddapps.continual.budget import MemoryBudget
from ddapps.continual.buffer import SummaryBuffer
from ddapps.continual.condensation import CondensedMemory
from ddapps.continual.distilled import DistilledMemory
from ddcore.parts import Normalisation


class SampleCondensationBuffer(SummaryBuffer):
    """A replay memory for streams that are seen once, piece by piece.

    Such streams come from ``split_online_stream``, for example.

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
    r"""A replay memory of few components, weighted for each example (Wiewel & Yang 2021).

    All classes share the components.

    Linear bases (survey, equation 13) under gradient matching, in one summary: examples are
    weighted sums of the components. The components are learned anew with each piece of an
    experience, from the memory's own examples and the piece.

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
