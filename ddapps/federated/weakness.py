"""Rounds that ask only for classes in which the union is weak: which ones, and how much of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

import torch

import ddcore as dd
from ddapps.federated.terms import Terms
from ddapps.sizing import Limit
from ddcore.evaluation import predict
from ddcore.parts import Network, Split


def class_errors(network: Network, split: Split, spec: dd.Spec, device: torch.device) -> dict[int, float]:
    """Return the share of each class's examples that a network gets wrong, in [0, 1]."""
    wrong = predict(network, split, spec, device).argmax(dim=1) != split.targets
    return {c: float(wrong[split.targets == c].double().mean()) for c in split.targets.unique().tolist()}


def weak_shares(errors: Mapping[int, float]) -> dict[int, float]:
    r"""Return the share of a round that each weak class gets.

    A class is weak where its error :math:`e_c` lies above the mean :math:`\bar e` of all classes.
    Its share is in proportion to what lies above:

    .. math:: s_c = \frac{\max(0, e_c - \bar e)}{\sum_k \max(0, e_k - \bar e)}

    Returns:
        The weak classes with their shares, which add up to 1. Nothing where all err alike.
    """
    mean = fmean(errors.values())
    above = {class_id: error - mean for class_id, error in errors.items() if error - mean > 1e-9}
    return {class_id: excess / sum(above.values()) for class_id, excess in sorted(above.items())}


def asked_limit(settings: Terms, spec: dd.Spec, asked: Mapping[int, float]) -> Limit:
    """Return what a client's supplement may hold, as both sides know it.

    All shares together are ``supplement`` times a first summary of all classes. A client that has
    some of the weak classes gets their shares alone. So what a class gets of a client does not
    depend on what else that client has.

    Args:
        settings: of the run.
        spec: of the data.
        asked: shares of the classes that this client is asked for.

    Returns:
        Bytes; or examples of each class. Classes whose share is less than an item are left out.
    """
    if settings.bytes:
        return math.floor(settings.supplement * dd.Budget.parse(settings.bytes).bytes * sum(asked.values()))
    items = settings.supplement * settings.ipc * spec.num_classes
    each = settings.compression.examples_per_item
    return {class_id: each * math.floor(items * share) for class_id, share in asked.items() if items * share >= 1}
