"""Gradient matching (survey, section 2.2)."""

from ddcore.matching.gradient.distances import DISTANCES, cosine, l1, mse, relative_mse, vector_cosine
from ddcore.matching.gradient.gradient_matching import GradientMatching
from ddcore.matching.gradient.matched_weights import matched_weights

__all__ = [
    "DISTANCES",
    "GradientMatching",
    "cosine",
    "l1",
    "matched_weights",
    "mse",
    "relative_mse",
    "vector_cosine",
]
