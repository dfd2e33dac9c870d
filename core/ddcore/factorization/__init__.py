"""Factorizations: what is stored and how it becomes examples."""

from ddcore.factorization.base import Examples, Factorization
from ddcore.factorization.budget import Ipc, largest_ipc
from ddcore.factorization.generator import GeneratorLatents, GivenGenerator, TrainedGenerator
from ddcore.factorization.multi_formation import MultiFormation
from ddcore.factorization.pixels import Pixels

FACTORIZATIONS: dict[str, type[Factorization]] = {
    kind.name: kind for kind in (Pixels, MultiFormation, GeneratorLatents)
}
"""The closed table from which a loaded summary builds its decoders."""

__all__ = [
    "FACTORIZATIONS",
    "Examples",
    "Factorization",
    "GeneratorLatents",
    "GivenGenerator",
    "Ipc",
    "MultiFormation",
    "Pixels",
    "TrainedGenerator",
    "largest_ipc",
]
