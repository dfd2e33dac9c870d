"""`Rows`: every row of a table is its own free parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ddcore.factorization import AsStored


@dataclass(frozen=True)
class Rows(AsStored):
    """Normalised rows as free parameters, ``ipc`` per class. `AsStored` explains the settings."""

    name: ClassVar[str] = "rows"
    modality: ClassVar[str | None] = "tables"
    items: ClassVar[str] = "rows"
