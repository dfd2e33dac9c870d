"""Kernels of neural networks, and ridge regression with them."""

from ddcore.kernels.analytic import AnalyticKernel
from ddcore.kernels.features import FeatureKernel
from ddcore.kernels.names import KERNELS, as_kernel, kernel_label
from ddcore.kernels.ridge import centred, ridge_solution
from ddcore.parts import Kernel

__all__ = [
    "KERNELS",
    "AnalyticKernel",
    "FeatureKernel",
    "Kernel",
    "as_kernel",
    "centred",
    "kernel_label",
    "ridge_solution",
]
