"""What a synthetic graph and a set of synthetic graphs have in common when they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from ddcore.coresets import as_rule
from ddcore.errors import UnsupportedError
from ddcore.factorization.numbers import STORAGE
from ddcore.factorization.owned import OwnedExamples
from ddcore.graphs.edges import Edges
from ddcore.parts import NOISE, Context, CoresetRule, Factorization, Ipc, Spec, check_ipc, counts_within
from ddcore.settings import require


@dataclass(frozen=True)
class StoredGraph(Factorization):
    """Features on nodes, and edges.

    Attributes:
        ipc: examples per class.
        init: a coreset rule, whose examples are the first ones; or ``noise``.
        storage: of features: ``float32`` or ``fp16``.
    """

    ipc: Ipc = field(default=10, hash=False)
    init: str | CoresetRule = "random"
    storage: str = "float32"
    storages: ClassVar[tuple[str, ...]] = ("float32", "fp16")
    items: ClassVar[str] = "features"

    def __post_init__(self) -> None:
        require(self.storage in self.storages, f"graphs are stored as float32 or fp16, not {self.storage!r}")
        check_ipc(self.ipc)
        if self.init not in NOISE:
            as_rule(self.init)

    def counts_for(self, available: Mapping[int, int]) -> dict[int, int]:
        return counts_within(self.ipc, available)

    def quantize(self, stored: Mapping[str, Tensor], spec: Spec, to: str) -> tuple[Factorization, dict[str, Tensor]]:
        self.restore(stored, spec)
        return replace(self, storage=to), {**stored, "features": features_as(stored["features"], to)}


class StoredGraphExamples(OwnedExamples):
    """Examples sorted by class: the features of all nodes, and the module that makes the edges."""

    draws_when_decoded: ClassVar[bool] = True

    def __init__(self, settings: StoredGraph, features: Tensor, edges: Edges, owners: Tensor, spec: Spec) -> None:
        super().__init__(owners, spec.num_classes)
        self._settings = settings
        self.features = nn.Parameter(features.clone())
        self.edges = edges

    def groups(self) -> dict[str, list[nn.Parameter]]:
        groups = {"features": [self.features], "edges": list(self.edges.parameters())}
        return {name: parameters for name, parameters in groups.items() if parameters}

    def begin(self, run: Context) -> None:
        if run.continued and "edges" in self._settings.learning_rates():
            raise UnsupportedError(
                "a summary keeps a graph's edges, not what made them: start= cannot go on from it; use checkpoint="
            )

    def penalty(self, run: Context) -> Tensor | None:
        return self.edges.penalty()

    def after_step(self, step: int) -> None:
        self.edges.after_step()

    def stored_features(self) -> Tensor:
        """Return the features of all nodes as a summary stores them, ``N x d``."""
        return features_as(self.features.detach().cpu(), self._settings.storage).clone()


def features_as(features: Tensor, storage: str) -> Tensor:
    """Return features as they are stored, or raise `SettingsError` where they do not fit."""
    stored = features.to(STORAGE[storage])
    lost = bool((features.isfinite() & ~stored.isfinite()).any())
    require(not lost, f"features above {torch.finfo(stored.dtype).max:g} do not fit {storage}: store float32")
    return stored
