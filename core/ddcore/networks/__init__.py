"""Architectures by name, the `Network` wrapper, and the sources that hand networks to a run."""

from ddcore.networks.architecture import Architecture, Factory, Redrawn, as_architecture
from ddcore.networks.classic import MLP, VGG11, AlexNet, LeNet
from ddcore.networks.convnet import ConvNet
from ddcore.networks.names import ARCHITECTURES, architecture_label, parse_architecture, split_names
from ddcore.networks.network import Network
from ddcore.networks.resnet import ResNet18
from ddcore.networks.sources import FreshNetworks, Networks, NetworkSource

__all__ = [
    "ARCHITECTURES",
    "MLP",
    "VGG11",
    "AlexNet",
    "Architecture",
    "ConvNet",
    "Factory",
    "FreshNetworks",
    "LeNet",
    "Network",
    "NetworkSource",
    "Networks",
    "Redrawn",
    "ResNet18",
    "architecture_label",
    "as_architecture",
    "parse_architecture",
    "split_names",
]
