"""Matching families (survey, sections 2.1 to 2.4)."""

from ddcore.matching.base import Matching, MatchingState, Term
from ddcore.matching.distribution import DistributionMatching

__all__ = ["DistributionMatching", "Matching", "MatchingState", "Term"]
