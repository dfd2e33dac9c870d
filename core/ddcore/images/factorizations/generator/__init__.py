"""Examples as images of a generator."""

from ddcore.images.factorizations.generator.latents import GeneratorLatents
from ddcore.images.factorizations.generator.sources import (
    FreshGenerator,
    GeneratorSource,
    GivenGenerator,
    SmallGenerator,
    TrainedGenerator,
)

__all__ = [
    "FreshGenerator",
    "GeneratorLatents",
    "GeneratorSource",
    "GivenGenerator",
    "SmallGenerator",
    "TrainedGenerator",
]
