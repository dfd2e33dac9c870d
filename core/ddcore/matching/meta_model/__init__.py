"""Meta-model matching (survey, section 2.1).

It compares what a model trained on the synthetic examples does on real ones.
"""

from ddcore.matching.meta_model.convexified_training import ConvexifiedTraining
from ddcore.matching.meta_model.kernel_regression import KernelRegression
from ddcore.matching.meta_model.unrolled_training import UnrolledTraining

__all__ = ["ConvexifiedTraining", "KernelRegression", "UnrolledTraining"]
