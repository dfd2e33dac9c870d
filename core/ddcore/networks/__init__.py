"""Architectures that take examples of any modality, and all of them by name."""

from ddcore.networks.linear_probe import LinearProbe
from ddcore.networks.mlp import MLP
from ddcore.parts import (
    ARCHITECTURES,
    Architecture,
    Factory,
    Network,
    OneOf,
    Redrawn,
    Usual,
    architecture_label,
    as_architecture,
    parse_architecture,
)

ARCHITECTURES[MLP.name] = MLP

__all__ = [
    "ARCHITECTURES",
    "MLP",
    "Architecture",
    "Factory",
    "LinearProbe",
    "Network",
    "OneOf",
    "Redrawn",
    "Usual",
    "architecture_label",
    "as_architecture",
    "parse_architecture",
]
