"""Published methods, by name: each is a composition with its source's settings."""

from ddcore.methods.catalogue import METHODS, Published, build_method
from ddcore.methods.dm import dm
from ddcore.methods.presets import PRESETS
from ddcore.methods.selection import forgetting, herding, k_center, random

__all__ = ["METHODS", "PRESETS", "Published", "build_method", "dm", "forgetting", "herding", "k_center", "random"]
