"""`Context`: what is settled before the first part of a run starts, and the present step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from ddcore.ground.devices import autocast, dtype_of
from ddcore.ground.randomness import derive_seed, generator
from ddcore.parts.augmentation import Augmentation
from ddcore.parts.spec import Spec


class Context:
    """Read by every part of a run; written by the engine alone.

    Attributes:
        spec: declared-public facts of the target data.
        step: index of the present step, from 0.
        augmentation: already suited to the data (no flips for digits).
        device, precision, dtype: where and how numbers are computed.
        micro_batch: the most examples that one forward pass takes on the real side.
        gradient_micro_batch: the same where a backward pass follows.
        compiled: whether parts may compile their hot functions.
        steps: how many there will be.
        checkpoint: the file in which this run's state is kept, or None. Parts may keep more
            beside it (`beside_checkpoint`).
        continued: whether the examples are those of an earlier summary.
        report: takes a line of text about what a part is doing before the first step, or None.
    """

    def __init__(
        self,
        *,
        spec: Spec,
        augmentation: Augmentation,
        seed: int,
        device: torch.device,
        precision: str,
        micro_batch: int,
        gradient_micro_batch: int | None = None,
        compiled: bool = False,
        steps: int = 0,
        checkpoint: Path | None = None,
        continued: bool = False,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.spec = spec
        self.augmentation = augmentation
        self.device = device
        self.precision = precision
        self.dtype = dtype_of(precision)
        self.micro_batch = micro_batch
        self.gradient_micro_batch = gradient_micro_batch or micro_batch
        self.compiled = compiled
        self.step = 0
        self.steps = steps
        self.checkpoint = checkpoint
        self.continued = continued
        self.report = report
        self._seed = seed

    def derive_seed(self, purpose: str, *key: int | str) -> int:
        """Return a seed for ``purpose`` that does not depend on the step."""
        return derive_seed(self._seed, purpose, *key)

    def generator(self, purpose: str, *key: int | str) -> torch.Generator:
        """Return a CPU generator derived from (seed, purpose, step, key)."""
        return generator(self._seed, purpose, self.step, *key)

    def beside_checkpoint(self, what: str) -> Path | None:
        """Return where a part keeps what it wants to find again when a killed run is resumed, or None without a checkpoint."""
        return None if self.checkpoint is None else self.checkpoint.with_name(f"{self.checkpoint.name}.{what}")

    def autocast(self) -> AbstractContextManager[object]:
        """Return the block in which forward passes run at this run's precision."""
        return autocast(self.precision, self.device)
