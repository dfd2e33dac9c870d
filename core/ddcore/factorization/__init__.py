"""Factorizations: what is stored and how it becomes examples."""

from ddcore.factorization.base import Examples, Factorization
from ddcore.factorization.pixels import Pixels

FACTORIZATIONS: dict[str, type[Factorization]] = {Pixels.name: Pixels}
"""The closed table from which a loaded summary builds its decoders."""

__all__ = ["FACTORIZATIONS", "Examples", "Factorization", "Pixels"]
