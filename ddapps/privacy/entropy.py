"""Where a private run's secret random numbers come from: never from the run's seed."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from ddcore.ground import derive_seed


class Entropy(ABC):
    """A source of secret random bits."""

    description: ClassVar[str]

    @abstractmethod
    def words(self, count: int) -> np.ndarray:
        """Return ``count`` independent uniform words of 64 bits (uint64)."""


class SystemEntropy(Entropy):
    """The operating system's cryptographic generator, for every bit that is used."""

    description = "operating system"

    def words(self, count: int) -> np.ndarray:
        return np.frombuffer(os.urandom(8 * count), dtype=np.uint64)


class RepeatableEntropy(Entropy):
    """For tests alone: whoever knows the seed can subtract the noise, and `verify` says so."""

    description = "a seed (for tests: no privacy)"

    def __init__(self, seed: int) -> None:
        self._random = np.random.Generator(np.random.Philox(derive_seed(seed, "test-noise")))

    def words(self, count: int) -> np.ndarray:
        return self._random.integers(0, 2**64, size=count, dtype=np.uint64)
