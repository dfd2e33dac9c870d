"""`Context`: what is settled before the parts of a run start, and the present step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from ddcore.ground.devices import MICRO_BATCHES_PER_PIECE, autocast, dtype_of
from ddcore.ground.randomness import derive_seed, generator
from ddcore.ground.ranks import ALONE, Ranks
from ddcore.parts.augmentation import Augmentation
from ddcore.parts.spec import Spec


class Context:
    """The settled facts of one run. Every part reads them, only the engine writes them.

    Attributes:
        spec: facts of the target data that are declared to be public.
        step: index of the present step, from 0.
        augmentation: already suited to the data: no flips for digits, say.
        device, precision, dtype: where and how numbers are computed.
        micro_batch: the most real examples in one forward pass.
        gradient_micro_batch: the same where a backward pass follows.
        second_order_micro_batch: the most synthetic examples that are differentiated twice at once.
        halvings: how often the engine has halved these three, since a step did not fit the memory.
        compiled: whether parts may compile their hot functions.
        steps: number of steps of the whole run.
        checkpoint: the file that keeps this run's state, or None. Parts may keep more beside it
            (`beside_checkpoint`).
        continued: whether the run goes on from the examples of an earlier summary.
        ranks: this process among those that take this run's steps together.
        report: takes a line of text about what a part does before the first step; or None.
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
        second_order_micro_batch: int | None = None,
        compiled: bool = False,
        steps: int = 0,
        checkpoint: Path | None = None,
        continued: bool = False,
        ranks: Ranks = ALONE,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.spec = spec
        self.augmentation = augmentation
        self.device = device
        self.precision = precision
        self.dtype = dtype_of(precision)
        self.micro_batch = micro_batch
        self.gradient_micro_batch = gradient_micro_batch or micro_batch
        self.second_order_micro_batch = second_order_micro_batch or MICRO_BATCHES_PER_PIECE * micro_batch
        self.halvings = 0
        self.compiled = compiled
        self.step = 0
        self.steps = steps
        self.checkpoint = checkpoint
        self.continued = continued
        self.ranks = ranks
        self.report = report
        self._seed = seed

    def derive_seed(self, purpose: str, *key: int | str) -> int:
        """Return a seed that follows from (seed, purpose, key). It does not depend on the step."""
        return derive_seed(self._seed, purpose, *key)

    def generator(self, purpose: str, *key: int | str) -> torch.Generator:
        """Return a CPU generator that follows from (seed, purpose, step, key)."""
        return generator(self._seed, purpose, self.step, *key)

    def own_classes(self, classes: Sequence[int]) -> list[int]:
        """Return those of the classes that this process computes."""
        if self.ranks.size == 1:
            return list(classes)
        place = {c: i for i, c in enumerate(self.spec.classes)}
        return self.ranks.share(classes, [place[c] for c in classes])

    def beside_checkpoint(self, what: str) -> Path | None:
        """Return the path where a part keeps what a resumed run shall find again.

        None: the run has no checkpoint.
        """
        return None if self.checkpoint is None else self.checkpoint.with_name(f"{self.checkpoint.name}.{what}")

    def autocast(self) -> AbstractContextManager[object]:
        """Return a ``with`` block in which forward passes run at this run's precision."""
        return autocast(self.precision, self.device)
