"""`Steps`: training by a fixed sequence of steps, each with a step size of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ddcore.settings import require, require_counts

MAX_STEPS = 100_000
MAX_RATE = 1e6


@dataclass(frozen=True)
class Steps:
    """A schedule that a summary brings along: step sizes, with the examples in a fixed order.

    Attributes:
        rates: step size of every step.
        per_class: examples of each class in one step. A class takes its own in turn. None: all.
        momentum: of the steps.
    """

    rates: tuple[float, ...]
    per_class: int | None = None
    momentum: float = 0.0

    def __post_init__(self) -> None:
        require(0 < len(self.rates) <= MAX_STEPS, f"a recipe has 1 to {MAX_STEPS} steps, not {len(self.rates)}")
        numbers = all(type(rate) is float and 0 < rate <= MAX_RATE for rate in self.rates)
        require(numbers, f"step sizes must be numbers above 0, up to {MAX_RATE:g}")
        require(
            type(self.momentum) is float and 0 <= self.momentum < 1, f"momentum must lie in [0, 1), not {self.momentum}"
        )
        if self.per_class is not None:
            require_counts(per_class=self.per_class)

    def batches(self, members: Mapping[int, Tensor]) -> list[Tensor]:
        """Return the indices of every step's examples, given the indices of each class."""
        return step_batches(members, len(self.rates), self.per_class)


def mixed_batches(members: Mapping[int, Tensor], steps: int, total: int, generator: torch.Generator) -> list[Tensor]:
    """Return, for each step, the indices of ``total`` examples, whatever their class.

    Steps go through all examples in a random order, then again in a new one. The last batch of an
    order may be smaller.
    """
    indices = torch.cat(list(members.values()))
    batches: list[Tensor] = []
    while len(batches) < steps:
        batches += indices[torch.randperm(len(indices), generator=generator)].split(total)
    return batches[:steps]


def step_batches(
    members: Mapping[int, Tensor], steps: int, per_class: int | None, generator: torch.Generator | None = None
) -> list[Tensor]:
    """Return, for each step, the indices of ``per_class`` examples of every class.

    All examples of a class have their turn before one of them comes again.

    Args:
        members: indices of examples per class id.
        steps: number of steps.
        per_class: examples of each class in one step. None: all.
        generator: draws a new order for each round. None: the order is that of ``members``.
    """
    batches: list[list[Tensor]] = [[] for _ in range(steps)]
    for indices in members.values():
        size = len(indices)
        each = size if per_class is None else min(per_class, size)
        rounds = -(-steps * each // size)
        if generator is None or each == size:
            order = indices.repeat(rounds)
        else:
            order = torch.cat([indices[torch.randperm(size, generator=generator)] for _ in range(rounds)])
        for batch, mine in zip(batches, order.split(each), strict=False):
            batch.append(mine)
    return [torch.cat(batch) for batch in batches]
