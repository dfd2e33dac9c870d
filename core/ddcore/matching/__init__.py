"""Matching families (survey, sections 2.1 to 2.4)."""

from ddcore.matching.distribution import (
    CharacteristicFunction,
    DistributionMatching,
    FeatureAlignment,
    FrequencySampler,
    MeanDifference,
)
from ddcore.matching.gradient import GradientMatching
from ddcore.matching.meta_model import KernelRegression, UnrolledTraining
from ddcore.matching.trajectory import TrajectoryMatching
from ddcore.matching.unrolling import StepSizes, unroll
from ddcore.parts import Matching, MatchingState, Term

__all__ = [
    "CharacteristicFunction",
    "DistributionMatching",
    "FeatureAlignment",
    "FrequencySampler",
    "GradientMatching",
    "KernelRegression",
    "Matching",
    "MatchingState",
    "MeanDifference",
    "StepSizes",
    "Term",
    "TrajectoryMatching",
    "UnrolledTraining",
    "unroll",
]
