"""What proxies of one comparison share: data, space, and the summaries that were made."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ddcore as dd
from ddapps.kept_results import KeptResults, stem
from ddapps.nas.search_space import SearchSpace
from ddcore.errors import CheckpointError
from ddcore.ground import resolve_device
from ddcore.parts import Method, TargetData
from ddcore.summary import DataSummary


@dataclass(frozen=True)
class Bench:
    """What proxies of one comparison share.

    Attributes:
        target: the data, with a validation split.
        space: of the candidates.
        network: what summaries are distilled on.
        steps: of distillation; None: those of the method's preset ``cpu``.
        directory: where summaries are kept.
        device: of distillation and training.
        progress: called with a line of text before every distillation.
    """

    target: TargetData
    space: SearchSpace
    network: str
    steps: int | None
    directory: Path
    device: str = "auto"
    progress: Callable[[str], None] | None = None

    def summary(self, name: str, method: Method, seed: int) -> DataSummary:
        """Return the summary by a method, from before where it is known."""
        place = self.directory / "summaries" / stem(name)
        facts = {
            "data": self.target.fingerprint(),
            "method": method.at_precision(None, resolve_device(self.device)).describe(),
            "seed": seed,
            "device": self.device,
            "version": dd.__version__,
        }
        made: list[DataSummary] = []

        def make() -> dict[str, Any]:
            if self.progress is not None and method.steps:
                self.progress(f"{name}: {method.steps} steps of {method.name}")
            started = time.monotonic()
            made.append(dd.distill(self.target, method, seed=seed, device=self.device))
            made[0].save(place, overwrite=True)
            return {"sha256": made[0].sha256(), "seconds": time.monotonic() - started}

        known = KeptResults(self.directory).get(f"summary {name}", facts, make)
        summary = made[0] if made else DataSummary.load(place)
        if summary.sha256() != known["sha256"]:
            raise CheckpointError(f"{place} is not the summary that was kept there: delete {self.directory}")
        return summary
