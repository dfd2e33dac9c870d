"""What the server has of real data."""

from __future__ import annotations

from dataclasses import dataclass

import ddcore as dd
from ddcore.evaluation import held_out_split
from ddcore.parts import Split


@dataclass(frozen=True, eq=False)
class ServerData:
    """What the server has of real data.

    Attributes:
        spec: public facts: shape, number of classes, normalisation. Clients must declare the same.
        test: what the global model is tested on.
        validation: what screening, supplements and ``auto`` look at; None: there is none.
        name: for reports.
    """

    spec: dd.Spec
    test: Split
    validation: Split | None = None
    name: str = "test data"

    @classmethod
    def of(cls, target: dd.TargetData, split: str = "test") -> ServerData:
        """Return the held-out parts of some data; its training split stays out."""
        return cls(target.spec, held_out_split(target, split), target.validation, target.name)
