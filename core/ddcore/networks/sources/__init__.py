"""Where the networks of a run come from."""

from ddcore.networks.sources.base import Networks, NetworkSource
from ddcore.networks.sources.expert_segments import ExpertSegments, Segments, SegmentSource
from ddcore.networks.sources.fixed import FixedNetworks
from ddcore.networks.sources.fresh import FreshNetworks
from ddcore.networks.sources.given_segment import GivenSegment
from ddcore.networks.sources.none import NoNetworks
from ddcore.networks.sources.perturbed import PerturbedNetworks
from ddcore.networks.sources.plateau import Plateau
from ddcore.networks.sources.pool import NetworkPool
from ddcore.networks.sources.trained_on_real import TrainedOnReal
from ddcore.networks.sources.trained_on_synthetic import TrainedOnSynthetic

__all__ = [
    "ExpertSegments",
    "FixedNetworks",
    "FreshNetworks",
    "GivenSegment",
    "NetworkPool",
    "NetworkSource",
    "Networks",
    "NoNetworks",
    "PerturbedNetworks",
    "Plateau",
    "SegmentSource",
    "Segments",
    "TrainedOnReal",
    "TrainedOnSynthetic",
]
