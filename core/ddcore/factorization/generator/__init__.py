"""Examples as images of a generator."""

from ddcore.factorization.generator.latents import GeneratorLatents
from ddcore.factorization.generator.sources import (
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
