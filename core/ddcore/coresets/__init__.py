"""Coresets: rules that select real examples.

They initialise a factorization, or are a method with no steps.
"""

from ddcore.coresets.features import FeatureSpace
from ddcore.coresets.forgetting import Forgetting
from ddcore.coresets.herding import Herding
from ddcore.coresets.k_center import KCenter
from ddcore.coresets.k_means import KMeans
from ddcore.coresets.random_selection import RandomSelection
from ddcore.errors import UnknownNameError
from ddcore.parts import RULES, CoresetRule

RULES.update({rule.name: rule for rule in (RandomSelection, Herding, KCenter, KMeans, Forgetting)})


def as_rule(given: str | CoresetRule) -> CoresetRule:
    """Return a rule from its name or its settings."""
    if isinstance(given, CoresetRule):
        return given
    if given not in RULES:
        raise UnknownNameError("coreset rule", given, (*RULES, "noise"))
    return RULES[given]()


__all__ = [
    "RULES",
    "CoresetRule",
    "FeatureSpace",
    "Forgetting",
    "Herding",
    "KCenter",
    "KMeans",
    "RandomSelection",
    "as_rule",
]
