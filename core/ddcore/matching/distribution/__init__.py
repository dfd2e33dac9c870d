"""Distribution matching (survey, section 2.4)."""

from ddcore.matching.distribution.distances import squared_mean_difference
from ddcore.matching.distribution.mean_matching import DistributionMatching

__all__ = ["DistributionMatching", "squared_mean_difference"]
