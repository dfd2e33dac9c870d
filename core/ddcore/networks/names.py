"""Architectures by name, with settings in brackets: ``convnet(width=64, depth=2)``."""

from __future__ import annotations

from ddcore.networks.architecture import Architecture
from ddcore.networks.classic import MLP, VGG11, AlexNet, LeNet
from ddcore.networks.convnet import ConvNet
from ddcore.networks.resnet import ResNet18
from ddcore.settings import settings_from_text, settings_text

ARCHITECTURES: dict[str, type[Architecture]] = {
    kind.name: kind for kind in (ConvNet, MLP, LeNet, AlexNet, VGG11, ResNet18)
}


def parse_architecture(text: str) -> Architecture:
    """Return the architecture that ``text`` names."""
    return settings_from_text(text, {name: kind() for name, kind in ARCHITECTURES.items()}, "network")


def architecture_label(architecture: Architecture) -> str:
    """Return a name for reports: the settings that differ from the default stand in brackets."""
    if architecture.name not in ARCHITECTURES:
        return str(architecture.describe().get("function", architecture.name))  # type: ignore[attr-defined]
    return settings_text(architecture.name, architecture)
