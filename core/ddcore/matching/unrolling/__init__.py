"""Differentiating through the training of a network."""

from ddcore.matching.unrolling.inner import InnerTraining, check_inner_settings
from ddcore.matching.unrolling.state import StepSizeState
from ddcore.matching.unrolling.step_sizes import StepSizes, require_positive
from ddcore.matching.unrolling.unroll import GRADIENTS, unroll

__all__ = [
    "GRADIENTS",
    "InnerTraining",
    "StepSizeState",
    "StepSizes",
    "check_inner_settings",
    "require_positive",
    "unroll",
]
