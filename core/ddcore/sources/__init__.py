"""Network sources: where the networks of a run come from."""

from ddcore.parts import Networks, NetworkSource, NoNetworks, Segments, SegmentSource
from ddcore.sources.expert_segments import ExpertSegments
from ddcore.sources.experts import ExpertBuffer, ExpertData, ExpertTraining, train_experts
from ddcore.sources.fixed import FixedNetworks
from ddcore.sources.fresh import FreshNetworks
from ddcore.sources.fresh_heads import FreshHeads
from ddcore.sources.given_segment import GivenSegment
from ddcore.sources.one_network import OneNetwork
from ddcore.sources.perturbed import PerturbedNetworks
from ddcore.sources.plateau import Plateau
from ddcore.sources.pool import NetworkPool
from ddcore.sources.teachers import Teachers
from ddcore.sources.trained_on_real import TrainedOnReal
from ddcore.sources.trained_on_synthetic import TrainedOnSynthetic

__all__ = [
    "ExpertBuffer",
    "ExpertData",
    "ExpertSegments",
    "ExpertTraining",
    "FixedNetworks",
    "FreshHeads",
    "FreshNetworks",
    "GivenSegment",
    "NetworkPool",
    "NetworkSource",
    "Networks",
    "NoNetworks",
    "OneNetwork",
    "PerturbedNetworks",
    "Plateau",
    "SegmentSource",
    "Segments",
    "Teachers",
    "TrainedOnReal",
    "TrainedOnSynthetic",
    "train_experts",
]
