"""Networks that take images."""

from ddcore.images.networks.classic import VGG11, AlexNet, LeNet
from ddcore.images.networks.convnet import ConvNet
from ddcore.images.networks.resnet import ResNet18

__all__ = ["VGG11", "AlexNet", "ConvNet", "LeNet", "ResNet18"]
