"""Examples as images of a generator."""

from ddcore.factorization.generator.latents import GeneratorLatents
from ddcore.factorization.generator.sources import GeneratorSource, GivenGenerator, TrainedGenerator

__all__ = ["GeneratorLatents", "GeneratorSource", "GivenGenerator", "TrainedGenerator"]
