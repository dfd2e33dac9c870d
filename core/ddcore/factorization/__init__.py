"""Factorizations: what is stored and how it becomes examples."""

from ddcore.factorization.base import NOISE, Examples, Factorization
from ddcore.factorization.budget import Ipc, largest_ipc
from ddcore.factorization.contrast import Contrast
from ddcore.factorization.frequencies import Frequencies
from ddcore.factorization.generator import FreshGenerator, GeneratorLatents, GivenGenerator, TrainedGenerator
from ddcore.factorization.hallucinators import Hallucinators
from ddcore.factorization.latent_codes import LatentCodes
from ddcore.factorization.linear_bases import LinearBases
from ddcore.factorization.multi_formation import MultiFormation
from ddcore.factorization.numbers import STORAGE
from ddcore.factorization.owned import OwnedExamples, owners_of
from ddcore.factorization.pixels import Pixels
from ddcore.factorization.shared_decoder import SharedDecoder

FACTORIZATIONS: dict[str, type[Factorization]] = {
    kind.name: kind
    for kind in (Pixels, MultiFormation, GeneratorLatents, LinearBases, Hallucinators, LatentCodes, Frequencies)
}
"""The closed table from which a loaded summary builds its decoders."""

__all__ = [
    "FACTORIZATIONS",
    "NOISE",
    "STORAGE",
    "Contrast",
    "Examples",
    "Factorization",
    "Frequencies",
    "FreshGenerator",
    "GeneratorLatents",
    "GivenGenerator",
    "Hallucinators",
    "Ipc",
    "LatentCodes",
    "LinearBases",
    "MultiFormation",
    "OwnedExamples",
    "Pixels",
    "SharedDecoder",
    "TrainedGenerator",
    "largest_ipc",
    "owners_of",
]
