"""Matching families (survey, sections 2.1 to 2.4)."""

from ddcore.matching.distribution import (
    CharacteristicFunction,
    DistributionMatching,
    FeatureAlignment,
    FrequencySampler,
    MeanDifference,
    StatisticMatching,
)
from ddcore.matching.gradient import GradientMatching
from ddcore.matching.meta_model import ConvexifiedTraining, KernelRegression, UnrolledTraining
from ddcore.matching.trajectory import TrajectoryMatching
from ddcore.matching.unrolling import StepSizes, unroll
from ddcore.parts import Matching, MatchingState, Term

__all__ = [
    "CharacteristicFunction",
    "ConvexifiedTraining",
    "DistributionMatching",
    "FeatureAlignment",
    "FrequencySampler",
    "GradientMatching",
    "KernelRegression",
    "Matching",
    "MatchingState",
    "MeanDifference",
    "StatisticMatching",
    "StepSizes",
    "Term",
    "TrajectoryMatching",
    "UnrolledTraining",
    "unroll",
]
