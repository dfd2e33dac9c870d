"""Interactions: which users chose which items, as recommenders learn from them."""

from ddcore.interactions.autoencoders import MVAE, InfiniteAutoencoder
from ddcore.interactions.baselines import EASE, Popularity
from ddcore.interactions.factorizations import ChosenUsers, SampledInteractions, UserRows
from ddcore.interactions.loading import load_interactions
from ddcore.interactions.modality import Interactions
from ddcore.interactions.ranking import Ranking
from ddcore.interactions.rules import HeadUsers, SVPUsers
from ddcore.interactions.sampling import flip_interactions, sample_interactions
from ddcore.interactions.show import dataframe_of
from ddcore.interactions.spec import InteractionSpec
from ddcore.parts import add_modality

add_modality(Interactions())

__all__ = [
    "EASE",
    "MVAE",
    "ChosenUsers",
    "HeadUsers",
    "InfiniteAutoencoder",
    "InteractionSpec",
    "Interactions",
    "Popularity",
    "Ranking",
    "SVPUsers",
    "SampledInteractions",
    "UserRows",
    "dataframe_of",
    "flip_interactions",
    "load_interactions",
    "sample_interactions",
]
