"""Target data: loading, partitions, and the real signal that a run may ask."""

from ddcore.data import partitions
from ddcore.data.exact_signal import ExactSignal
from ddcore.data.loading import load_data
from ddcore.data.root import cache_root, data_root
from ddcore.parts import (
    Counts,
    Features,
    Gradients,
    Identity,
    Normalisation,
    Pool,
    RealSignal,
    Spec,
    Split,
    TargetData,
    stratified_split,
)

__all__ = [
    "Counts",
    "ExactSignal",
    "Features",
    "Gradients",
    "Identity",
    "Normalisation",
    "Pool",
    "RealSignal",
    "Spec",
    "Split",
    "TargetData",
    "cache_root",
    "data_root",
    "load_data",
    "partitions",
    "stratified_split",
]
