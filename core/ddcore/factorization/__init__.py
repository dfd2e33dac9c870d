"""Factorizations of any modality: what is stored, and how it becomes examples."""

from ddcore.factorization.as_stored import AsStored, StoredExamples
from ddcore.factorization.compressed import Compressed
from ddcore.factorization.numbers import STORAGE
from ddcore.factorization.owned import OwnedExamples, owners_of
from ddcore.factorization.shared_decoder import SharedDecoder
from ddcore.parts import FACTORIZATIONS, NOISE, Examples, Factorization, Ipc, largest_ipc

FACTORIZATIONS[Compressed.name] = Compressed

__all__ = [
    "FACTORIZATIONS",
    "NOISE",
    "STORAGE",
    "AsStored",
    "Compressed",
    "Examples",
    "Factorization",
    "Ipc",
    "OwnedExamples",
    "SharedDecoder",
    "StoredExamples",
    "largest_ipc",
    "owners_of",
]
