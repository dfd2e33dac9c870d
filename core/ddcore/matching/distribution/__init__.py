"""Distribution matching (survey, section 2.4)."""

from ddcore.matching.distribution.characteristic_function import CharacteristicFunction, FrequencySampler
from ddcore.matching.distribution.distances import centroid_cross_entropy, squared_mean_difference
from ddcore.matching.distribution.feature_alignment import FeatureAlignment
from ddcore.matching.distribution.mean_difference import FeatureDistance, MeanDifference
from ddcore.matching.distribution.mean_matching import DistributionMatching
from ddcore.matching.distribution.statistic_matching import StatisticMatching

__all__ = [
    "CharacteristicFunction",
    "DistributionMatching",
    "FeatureAlignment",
    "FeatureDistance",
    "FrequencySampler",
    "MeanDifference",
    "StatisticMatching",
    "centroid_cross_entropy",
    "squared_mean_difference",
]
