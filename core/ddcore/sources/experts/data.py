"""What experts are trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ddcore.ground.devices import to_device
from ddcore.ground.mapped import examples_at, placed
from ddcore.parts import Batch, Run, Spec, TargetData, taken


@dataclass(frozen=True)
class ExpertData:
    """Real examples, and a hash that tells them from others.

    Attributes:
        batch_of: returns the normalised examples at some indices.
        size: number of examples.
        spec: their public facts.
        name, sha256: of the data.
    """

    batch_of: Callable[[Tensor], Batch]
    size: int
    spec: Spec
    name: str
    sha256: str

    @classmethod
    def of_target(cls, target: TargetData, device: torch.device) -> ExpertData:
        """Put a training split on ``device``. Bytes stay bytes until a batch needs them."""
        inputs, targets = placed(target.train.inputs, device), target.train.targets.to(device)

        def batch_of(indices: Tensor) -> Batch:
            where = to_device(indices, device)
            return Batch(target.spec.normalisation.apply(examples_at(inputs, where, device)), targets[where])

        return cls(
            batch_of,
            len(targets),
            target.spec,
            target.name,
            target.fingerprint(),
        )

    @classmethod
    def of_run(cls, run: Run) -> ExpertData:
        """Ask the real signal of a run for all examples."""
        real = run.real
        batch = real.batch(list(real.spec.classes), max(real.counts.values()), "experts")
        single = replace(batch, inputs=batch.inputs.float())
        return cls(lambda i: taken(single, i), len(batch.targets), real.spec, real.name, real.fingerprint())

    def facts(self) -> dict[str, Any]:
        """Return the facts that must be equal for experts to fit, as JSON data."""
        return facts_of(self.spec, self.sha256)


def facts_of(spec: Spec, sha256: str) -> dict[str, Any]:
    """Return the facts of data on which its experts depend, as JSON data.

    They are shape, number of classes, normalisation, and the hash of the data.
    """
    return {
        "shape": list(spec.shape),
        "num_classes": spec.num_classes,
        "normalisation": spec.normalisation.describe(),
        "data": sha256,
    }
