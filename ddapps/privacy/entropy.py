"""Where a private run's secret random numbers come from: never from the run's seed."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import ClassVar

import torch

from ddcore.ground import derive_seed

_WORDS, _FIRST = 624, 24
"""Words of a Mersenne twister, and their place in the state of torch's CPU generator."""


class Entropy(ABC):
    """A source of secret random numbers."""

    description: ClassVar[str]

    @abstractmethod
    def generator(self, device: torch.device) -> torch.Generator:
        """Return a generator on ``device`` in a state that nothing public determines."""


class SystemEntropy(Entropy):
    """Every generator gets all of its state from the operating system.

    That is 19 968 bits on a processor, 64 on a GPU. ``torch.Generator.manual_seed`` would keep 32
    bits of a seed, which can be tried out; so the whole state is set.
    """

    description = "operating system"

    def generator(self, device: torch.device) -> torch.Generator:
        random = torch.Generator(device)
        if device.type != "cpu":
            return random.manual_seed(int.from_bytes(os.urandom(8), "little"))
        state = random.manual_seed(0).get_state()
        words = torch.frombuffer(bytearray(os.urandom(4 * _WORDS)), dtype=torch.uint8).view(_WORDS, 4)
        state[_FIRST : _FIRST + 8 * _WORDS].view(_WORDS, 8)[:, :4] = words
        random.set_state(state)
        return random


class RepeatableEntropy(Entropy):
    """For tests alone: whoever knows the seed can subtract the noise, and `verify` says so."""

    description = "a seed (for tests: no privacy)"

    def __init__(self, seed: int) -> None:
        self._seed, self._drawn = seed, 0

    def generator(self, device: torch.device) -> torch.Generator:
        self._drawn += 1
        return torch.Generator(device).manual_seed(derive_seed(self._seed, "test-noise", self._drawn))
