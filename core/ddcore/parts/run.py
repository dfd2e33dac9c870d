"""`Run`: what the parts of a method may read during a run. No target data is in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ddcore.ground.devices import send_ahead
from ddcore.parts.augmentation import View
from ddcore.parts.context import Context
from ddcore.parts.examples import Examples
from ddcore.parts.networks import Networks
from ddcore.parts.real_signal import RealSignal


class Run(Context):
    """A context with the live parts of one run.

    Attributes:
        real: answers questions about real data.
        examples: the synthetic examples.
        networks: what is matched on. Absent in a run without steps.
    """

    examples: Examples
    networks: Networks

    def __init__(self, *, real: RealSignal, **context: Any) -> None:
        super().__init__(**context)
        self.real = real

    def views(self, classes: Iterable[int]) -> dict[int, View]:
        """Draw one view for each class. What a device needs of them is sent there together."""
        drawn = {c: self.augmentation.draw(self.generator("view", c)) for c in classes}
        send_ahead((tensor for view in drawn.values() for tensor in view.tensors()), self.device)
        return drawn

    def group_classes(self, classes: Iterable[int]) -> list[list[int]]:
        """Group classes, in order, so that a group's synthetic examples fit one micro-batch.

        A class with more examples than that is a group of its own.
        """
        groups: list[list[int]] = []
        size = 0
        for class_id in classes:
            count = self.examples.counts[class_id]
            if not groups or size + count > self.micro_batch:
                groups.append([])
                size = 0
            groups[-1].append(class_id)
            size += count
        return groups
