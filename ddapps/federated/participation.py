"""Which of the connected clients a round asks."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from ddapps.federated.terms import Terms
from ddcore.ground import generator


def asked_at_once(settings: Terms, connected: int) -> int:
    """Return how many clients one round asks, where there are so many."""
    # A share such as 49 * (1 / 49) is a whole number but for its rounding.
    return max(settings.min_clients, math.floor(settings.fraction * connected + 1e-9))


def in_turn(nodes: Iterable[int], seed: int, round: int) -> list[int]:
    """Return nodes in the random order in which they are asked after so many rounds."""
    every = sorted(nodes)
    order = torch.randperm(len(every), generator=generator(seed, "participation", round))
    return [every[index] for index in order.tolist()]
