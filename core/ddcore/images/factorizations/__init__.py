"""What is stored of images alone, and how it becomes images."""

from ddcore.images.factorizations.contrast import Contrast
from ddcore.images.factorizations.frequencies import Frequencies
from ddcore.images.factorizations.generator import (
    FreshGenerator,
    GeneratorLatents,
    GeneratorSource,
    GivenGenerator,
    SmallGenerator,
    TrainedGenerator,
)
from ddcore.images.factorizations.hallucinators import Hallucinators
from ddcore.images.factorizations.latent_codes import LatentCodes
from ddcore.images.factorizations.linear_bases import LinearBases
from ddcore.images.factorizations.low_resolution import LowResolution
from ddcore.images.factorizations.multi_formation import MultiFormation
from ddcore.images.factorizations.pixels import Pixels
from ddcore.images.factorizations.pyramid import Pyramid

__all__ = [
    "Contrast",
    "Frequencies",
    "FreshGenerator",
    "GeneratorLatents",
    "GeneratorSource",
    "GivenGenerator",
    "Hallucinators",
    "LatentCodes",
    "LinearBases",
    "LowResolution",
    "MultiFormation",
    "Pixels",
    "Pyramid",
    "SmallGenerator",
    "TrainedGenerator",
]
