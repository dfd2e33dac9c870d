"""Architectures by name, the `Network` wrapper, and the sources that hand networks to a run."""

from ddcore.networks.architecture import Architecture, Factory, OneOf, Redrawn, as_architecture
from ddcore.networks.classic import MLP, VGG11, AlexNet, LeNet
from ddcore.networks.convnet import ConvNet
from ddcore.networks.names import ARCHITECTURES, architecture_label, parse_architecture, split_names
from ddcore.networks.network import Network
from ddcore.networks.resnet import ResNet18
from ddcore.networks.sources import (
    FixedNetworks,
    FreshNetworks,
    NetworkPool,
    Networks,
    NetworkSource,
    Plateau,
    TrainedOnReal,
    TrainedOnSynthetic,
)

__all__ = [
    "ARCHITECTURES",
    "MLP",
    "VGG11",
    "AlexNet",
    "Architecture",
    "ConvNet",
    "Factory",
    "FixedNetworks",
    "FreshNetworks",
    "LeNet",
    "Network",
    "NetworkPool",
    "NetworkSource",
    "Networks",
    "OneOf",
    "Plateau",
    "Redrawn",
    "ResNet18",
    "TrainedOnReal",
    "TrainedOnSynthetic",
    "architecture_label",
    "as_architecture",
    "parse_architecture",
    "split_names",
]
