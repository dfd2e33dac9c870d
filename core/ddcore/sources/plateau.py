"""Loops that end by accuracy on real data: CAFE's dynamic bi-level optimisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ddcore.errors import UnsupportedError
from ddcore.parts import Network, Run
from ddcore.settings import require, require_counts


@dataclass(frozen=True)
class Plateau:
    r"""Checks of accuracy on real training data end two loops.

    A network gives way when matching steps no longer move its accuracy. Inner training ends when
    its epochs have moved the accuracy. Each row of checks starts anew: that after matching steps
    with every network, that after epochs with every matching step.

    Attributes:
        window: number of last checks that are compared.
        still: a network gives way when the checks after its matching steps span less than this.
        moving: inner training ends when the checks after its epochs span more than this.
        max_outer: most matching steps on one network. The reference has no bound.
        max_inner: most epochs between two matching steps. The reference has no bound.
        examples: real examples per class in a check.
        carried: whether a check is the accuracy plus :math:`a_{t-1} / C`, where
            :math:`a_{t-1}` is the check before it and C the number of classes. So it is in the
            reference, whose counter is not set back.

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
        """Whether the network gives way to the next."""
        return age >= self.max_outer or self._span(checks, default=float("inf")) < self.still

    def training_is_done(self, checks: list[float], epochs: int) -> bool:
        """Whether inner training ends."""
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
