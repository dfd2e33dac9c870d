"""Architectures and data whose right ranking is known beforehand.

It is the other way round on the two held-out splits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

import ddcore as dd
from ddapps.nas import SearchSpace
from ddcore.images import ImageSpec
from ddcore.parts import Split

MARGINS = (100.0, 80.0, 60.0, 50.0)
"""How sure a network is of its one answer.

No training here moves a logit by as much as two of them differ.
"""
VALIDATION, TEST = (16, 12, 8, 4), (4, 8, 12, 16)
"""Examples of each class, of 40.

The share of a class is the accuracy of the network that always answers with it.
"""
ANSWERS = range(4)


class Constant(nn.Module):
    """Answers with one class, whatever it sees."""

    def __init__(self, answer: int) -> None:
        super().__init__()
        self.head = nn.Linear(64, 4)
        self.register_buffer("offset", MARGINS[answer] * torch.eye(4)[answer])

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(0 * images.flatten(1)) + self.get_buffer("offset")
        return logits


@dataclass(frozen=True)
class Constants(SearchSpace):
    """Four networks.

    By accuracy on a split, the order is that of the split's classes. The training split has as many
    examples of each class. The loss there is three quarters of the margin, and orders as the test
    split does. So does the loss on the validation split: 60, 56, 48, 45.
    """

    name: ClassVar[str] = "constants"

    def values(self) -> dict[str, tuple[Any, ...]]:
        return {"answer": tuple(ANSWERS)}

    def build(self, choices: Any, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return Constant(choices["answer"])


def known_data() -> dd.TargetData:
    """Return noise of four classes, and held-out splits in opposite order.

    Each class has 25 examples to train on.
    """
    train, validation, test = (_split(counts) for counts in ((25,) * 4, VALIDATION, TEST))
    return dd.TargetData("known", ImageSpec((1, 8, 8), 4, (0, 1, 2, 3)), train, validation=validation, test=test)


def _split(counts: tuple[int, ...]) -> Split:
    targets = torch.repeat_interleave(torch.arange(4), torch.tensor(counts))
    return Split(torch.rand(len(targets), 1, 8, 8, generator=torch.Generator().manual_seed(len(targets))), targets)


def percent(counts: tuple[int, ...], answer: int) -> float:
    """Return the accuracy of an answer on a split."""
    return 100 * counts[answer] / sum(counts)
