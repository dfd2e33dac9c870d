"""Matching families (survey, sections 2.1 to 2.4)."""

from ddcore.matching.base import Matching, MatchingState, Term
from ddcore.matching.distribution import DistributionMatching, FeatureAlignment
from ddcore.matching.gradient import GradientMatching

__all__ = ["DistributionMatching", "FeatureAlignment", "GradientMatching", "Matching", "MatchingState", "Term"]
