"""Target data: loading, normalisation, partitions, and the real signal that a run may ask."""

from ddcore.data import partitions
from ddcore.data.loading import load_data
from ddcore.data.normalisation import ZCA, Identity, Normalisation, Standardise, fit_normalisation
from ddcore.data.pool import Pool
from ddcore.data.real_signal import Counts, ExactSignal, Features, Gradients, RealSignal
from ddcore.data.sources import NAMED, read_npz
from ddcore.data.spec import Spec
from ddcore.data.target import Split, TargetData, stratified_split

__all__ = [
    "NAMED",
    "ZCA",
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
    "Standardise",
    "TargetData",
    "fit_normalisation",
    "load_data",
    "partitions",
    "read_npz",
    "stratified_split",
]
