"""Forgetting (Toneva et al. 2019): the examples that training most often learns and loses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.errors import UnsupportedError
from ddcore.parts import Architecture, Batch, CoresetRule, Pool, Usual, suited_architecture
from ddcore.settings import require
from ddcore.training import Training, fit


@dataclass(frozen=True)
class Forgetting(CoresetRule):
    """Select the most forgotten examples of each class.

    One network is trained on the whole training split (SGD .01, momentum .9, batch 256). An example
    is forgotten when it was classified correctly the last time its batch came up and is not now.
    An example that was never learned counts as most forgotten. Ties are broken at random.

    Attributes:
        architecture: of the network.
        epochs: of its training.
    """

    architecture: Architecture = field(default_factory=Usual)
    epochs: int = 20
    name: ClassVar[str] = "forgetting"

    def __post_init__(self) -> None:
        require(self.epochs > 0, f"epochs must be above 0, not {self.epochs}")

    def select(self, pool: Pool, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Tensor]:
        events = self.count_events(pool, generator)
        chosen = {}
        for class_id, count in counts.items():
            members = pool.members(class_id)
            members = members[torch.randperm(len(members), generator=generator)]
            chosen[class_id] = members[events[members].argsort(descending=True, stable=True)[:count]]
        return chosen

    def count_events(self, pool: Pool, generator: torch.Generator) -> Tensor:
        """Train once and return the number of forgetting events per example.

        Examples that were never learned get ``epochs``.
        """
        if pool.spec.task.numeric:
            raise UnsupportedError("forgetting is about classes that were right once; the targets here are numbers")
        seed = int(torch.randint(2**62, (1,), generator=generator))
        architecture = suited_architecture(self.architecture, pool.spec)
        network = architecture.build(pool.spec.shape, pool.spec.num_classes, seed=seed).to(pool.device)
        events = torch.zeros(len(pool), dtype=torch.int64)
        correct = torch.zeros(len(pool), dtype=torch.bool)
        learned = torch.zeros(len(pool), dtype=torch.bool)

        def watch(indices: Tensor, batch: Batch, logits: Tensor) -> None:
            now = (logits.argmax(dim=1) == batch.targets).cpu()
            events[indices] += (correct[indices] & ~now).long()
            correct[indices] = now
            learned[indices] |= now

        fit(network, pool.batch, len(pool), Training(epochs=self.epochs), generator=generator, watch=watch)
        return events.where(learned, torch.full_like(events, self.epochs))
