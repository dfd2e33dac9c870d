"""Loops whose lengths follow accuracy on real data: CAFE's dynamic bi-level optimisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ddcore.errors import UnsupportedError
from ddcore.parts import Network, Run
from ddcore.settings import require, require_counts


@dataclass(frozen=True)
class Plateau:
    """When accuracy on real training data stops moving, the network is done; until it moves, the network trains on.

    Attributes:
        window: how many of the last checks are compared.
        still: a network gives way when the checks after its matching steps span less than this.
        moving: inner training ends when the checks after its epochs span more than this.
        max_outer: most matching steps on one network (the reference has no bound).
        max_inner: most epochs between two matching steps (the reference has no bound).
        examples: real examples per class behind a check.
        carried: whether check :math:`a_t` is accuracy plus :math:`a_{t-1} / C`, C classes, as in the reference, whose counter
            is not set back. A row of checks starts anew with every network, and after every matching step.

    Source: Wang et al. 2022 (arXiv:2203.01531), section 3.4.
    """

    window: int = 10
    still: float = 0.04
    moving: float = 0.03
    max_outer: int = 50
    max_inner: int = 50
    examples: int = 128
    carried: bool = False

    def __post_init__(self) -> None:
        require_counts(window=self.window, max_outer=self.max_outer, max_inner=self.max_inner, examples=self.examples)
        require(self.window > 1, f"a window holds at least 2 checks, not {self.window}")
        require(self.still > 0 and self.moving > 0, "the spans of accuracy must be above 0")

    def network_is_done(self, checks: list[float], age: int) -> bool:
        """Whether the network has had its last matching step."""
        return age >= self.max_outer or self._span(checks, default=float("inf")) < self.still

    def training_is_done(self, checks: list[float], epochs: int) -> bool:
        """Whether inner training has moved the network enough."""
        return epochs >= self.max_inner or self._span(checks, default=0.0) > self.moving

    def _span(self, checks: list[float], default: float) -> float:
        last = checks[-self.window :]
        return max(last) - min(last) if len(last) == self.window else default

    def carry(self, accuracy: float, checks: list[float], num_classes: int) -> float:
        """Return the check that follows ``checks``, given the network's accuracy."""
        return accuracy + (checks[-1] / num_classes if self.carried and checks else 0.0)

    def check(self, network: Network, run: Run, *key: int | str) -> float:
        """Return the network's accuracy on random real examples, in [0, 1]."""
        if run.spec.task.numeric:
            raise UnsupportedError("a plateau of accuracy needs classes; the targets here are numbers: plateau=None")
        real = run.real.batch(run.examples.classes, self.examples, "/".join(map(str, ("plateau", *key))))
        with torch.no_grad(), run.autocast():
            guesses = torch.cat([network.logits(part).argmax(dim=1) for part in real.inputs.split(run.micro_batch)])
        return float((guesses == real.targets).double().mean())
