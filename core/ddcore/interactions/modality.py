"""Interactions as a modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from torch import Tensor

from ddcore.data.exports import exports_of
from ddcore.factorization import AsStored
from ddcore.interactions import show
from ddcore.interactions.autoencoders import MVAE, InfiniteAutoencoder
from ddcore.interactions.baselines import EASE, Popularity
from ddcore.interactions.factorizations import ChosenUsers, SampledInteractions, UserRows
from ddcore.interactions.loading import load_interactions
from ddcore.interactions.rules import HeadUsers, SVPUsers
from ddcore.interactions.sources import is_interactions_file, is_sparse_matrix, is_table_of_pairs
from ddcore.interactions.spec import InteractionSpec
from ddcore.networks import MLP
from ddcore.parts import (
    Architecture,
    Card,
    CoresetRule,
    Decoded,
    Export,
    Factorization,
    Learner,
    Modality,
    Spec,
    TargetData,
)


class Interactions(Modality):
    """Users' rows over a catalogue of items. A user is an example, and its own target."""

    name: ClassVar[str] = "interactions"
    architectures: ClassVar[tuple[type[Architecture], ...]] = ()
    usual_network: ClassVar[Architecture] = MLP()
    factorizations: ClassVar[tuple[type[Factorization], ...]] = (ChosenUsers, SampledInteractions)
    as_stored: ClassVar[type[Factorization]] = UserRows
    learners: ClassVar[tuple[type[Learner], ...]] = (InfiniteAutoencoder, EASE, MVAE, Popularity)
    usual_learners: ClassVar[tuple[Learner, ...]] = (InfiniteAutoencoder(), EASE())
    references: ClassVar[tuple[Learner, ...]] = (InfiniteAutoencoder(), EASE(), Popularity())
    rules: ClassVar[tuple[type[CoresetRule], ...]] = (HeadUsers, SVPUsers)
    sure: ClassVar[bool] = True

    @property
    def sources(self) -> tuple[str, ...]:
        return ("path/to/pairs.csv", "path/to/ml-latest-small.zip", "path/to/total_data.hdf5")

    def recognises(self, source: object) -> bool:
        if isinstance(source, str | Path):
            return is_interactions_file(Path(source))
        if isinstance(source, pd.DataFrame):
            return is_table_of_pairs(source)
        return is_sparse_matrix(source)

    def loader(self) -> Callable[..., TargetData]:
        return load_interactions

    def read_spec(self, config: Mapping[str, Any], tensors: Callable[[], dict[str, Tensor]]) -> Spec:
        return InteractionSpec.restore(config)

    def selection(self, factorization: Factorization) -> Factorization:
        """Chosen users are stored as the numbers of their items."""
        if not isinstance(factorization, AsStored):
            return factorization
        return ChosenUsers(ipc=factorization.ipc, init=factorization.init)

    def as_text(self, decoded: Decoded, per_class: int) -> str:
        return show.as_text(decoded, per_class=per_class)

    def cards(self, decoded: Decoded, per_class: int) -> list[Card]:
        return show.cards(decoded, per_class=per_class)

    def forms(self) -> Mapping[str, Callable[[Decoded], Any] | Export]:
        return {"dataframe": show.dataframe_of, **exports_of(show.dataframe_of, lambda spec: None)}
