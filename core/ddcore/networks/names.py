"""Architectures by name, with settings in brackets: ``convnet(width=64, depth=2)``."""

from __future__ import annotations

import ast
import dataclasses
import re

from ddcore.errors import SettingsError, UnknownNameError
from ddcore.networks.architecture import Architecture
from ddcore.networks.classic import MLP, VGG11, AlexNet, LeNet
from ddcore.networks.convnet import ConvNet
from ddcore.networks.resnet import ResNet18
from ddcore.settings import override

ARCHITECTURES: dict[str, type[Architecture]] = {
    kind.name: kind for kind in (ConvNet, MLP, LeNet, AlexNet, VGG11, ResNet18)
}


def parse_architecture(text: str) -> Architecture:
    """Return the architecture that ``text`` names."""
    match = re.fullmatch(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*", text)
    if match is None or match.group(1) not in ARCHITECTURES:
        raise UnknownNameError("network", text, ARCHITECTURES)
    architecture = ARCHITECTURES[match.group(1)]()
    for setting in filter(None, (match.group(2) or "").split(",")):
        name, equals, value = (part.strip() for part in setting.partition("="))
        if not equals:
            raise SettingsError(f"{setting!r} in {text!r} is not of the form name=value")
        architecture = override(architecture, name, _literal(value))
    return architecture


def split_names(text: str) -> list[str]:
    """Split ``a,b(c=1,d=2)`` at the commas outside of brackets."""
    return [part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()]


def architecture_label(architecture: Architecture) -> str:
    """Return a name for reports: the settings that differ from the default stand in brackets."""
    if architecture.name not in ARCHITECTURES:
        return str(architecture.describe().get("function", architecture.name))  # type: ignore[attr-defined]
    declared = dataclasses.fields(architecture)  # type: ignore[arg-type]
    fields = [f for f in declared if getattr(architecture, f.name) != f.default]
    settings = ",".join(f"{f.name}={getattr(architecture, f.name)}" for f in fields)
    return f"{architecture.name}({settings})" if settings else architecture.name


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
