"""How two sets of features are compared, and the plainest way: by their means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ddcore.matching.distribution.distances import squared_mean_difference
from ddcore.parts import MatchingState, Network, Run


class FeatureDistance(ABC):
    """Settings of a distance of class means, of features or of a function of them."""

    def start(self, run: Run) -> MatchingState:
        """Return what the distance keeps during one run."""
        return MatchingState()

    def learns(self) -> bool:
        """Whether its function learns from the real examples. Their means are then not enough."""
        return False

    def width(self, network: Network) -> int:
        """Return how many numbers its function makes of an example's features."""
        return network.feature_width

    def function(self, run: Run, network: Network, state: MatchingState) -> Callable[[Tensor], Tensor] | None:
        """Return this step's function of features, from ``n x d`` to ``n x width``.

        None stands for the features as they are.
        """
        return None

    @abstractmethod
    def between(self, synthetic: Tensor, real: Tensor) -> Tensor:
        """Return the distance of class means ``classes x width``, summed over classes."""


@dataclass(frozen=True)
class MeanDifference(FeatureDistance):
    r"""The squared difference of mean features, :math:`\sum_c \|\bar r_c - \bar s_c\|^2`.

    Source: Zhao & Bilen 2023 (arXiv:2110.04181); survey, equation 11.
    """

    def between(self, synthetic: Tensor, real: Tensor) -> Tensor:
        return squared_mean_difference(synthetic, real)
