"""Architectures by name, the `Network` wrapper, and the sources that hand networks to a run."""

from ddcore.networks.architecture import Architecture, Factory, OneOf, Redrawn, as_architecture
from ddcore.networks.classic import MLP, VGG11, AlexNet, LeNet
from ddcore.networks.convnet import ConvNet
from ddcore.networks.experts import ExpertBuffer, ExpertData, ExpertTraining, train_experts
from ddcore.networks.names import ARCHITECTURES, architecture_label, parse_architecture
from ddcore.networks.network import Network
from ddcore.networks.resnet import ResNet18
from ddcore.networks.sources import (
    ExpertSegments,
    FixedNetworks,
    FreshNetworks,
    GivenSegment,
    NetworkPool,
    Networks,
    NetworkSource,
    NoNetworks,
    PerturbedNetworks,
    Plateau,
    Segments,
    SegmentSource,
    TrainedOnReal,
    TrainedOnSynthetic,
)
from ddcore.settings import split_names

__all__ = [
    "ARCHITECTURES",
    "MLP",
    "VGG11",
    "AlexNet",
    "Architecture",
    "ConvNet",
    "ExpertBuffer",
    "ExpertData",
    "ExpertSegments",
    "ExpertTraining",
    "Factory",
    "FixedNetworks",
    "FreshNetworks",
    "GivenSegment",
    "LeNet",
    "Network",
    "NetworkPool",
    "NetworkSource",
    "Networks",
    "NoNetworks",
    "OneOf",
    "PerturbedNetworks",
    "Plateau",
    "Redrawn",
    "ResNet18",
    "SegmentSource",
    "Segments",
    "TrainedOnReal",
    "TrainedOnSynthetic",
    "architecture_label",
    "as_architecture",
    "parse_architecture",
    "split_names",
    "train_experts",
]
